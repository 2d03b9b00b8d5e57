// Fits a matrix to eigenvalues in Node.
//
//     npm install --onnxruntime-node-install=skip      (CPU only)
//     node fit.mjs MODEL.onnx INITIAL TARGETS [MAX_STEPS [TOLERANCE]]
//     node fit.mjs models/springs/1/onnx/fit_float64.onnx 1,1,1 0.8,2.5,4.5
//
// Prints every output on a line: its name, then its numbers; a result of 0 (the targets
// are met) or 6 (a least-squares minimum) is a success. Without a TOLERANCE, or with 0,
// it is the default, relative to the targets.
import ort from 'onnxruntime-node'

const [model, initial, targets, maxSteps = '1000', tolerance = '0'] =
  process.argv.slice(2)
if (!targets) {
  console.error('fit: MODEL.onnx INITIAL TARGETS [MAX_STEPS [TOLERANCE]]')
  process.exit(1)
}

const session = await ort.InferenceSession.create(model)
const type = session.inputMetadata.find((x) => x.name === 'initial').type
const Numbers = type === 'float32' ? Float32Array : Float64Array
const vector = (text) => {
  const numbers = Numbers.from(text.split(','), Number)
  return new ort.Tensor(type, numbers, [1, numbers.length])
}
const outputs = await session.run({
  initial: vector(initial),
  targets: vector(targets),
  tolerance: new ort.Tensor(type, Numbers.of(Number(tolerance)), [1]),
  max_steps: new ort.Tensor('int32', Int32Array.of(Number(maxSteps)), [1]),
})
for (const [name, tensor] of Object.entries(outputs)) {
  console.log(name, ...tensor.data)
}
