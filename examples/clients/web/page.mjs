// Fits a matrix to the targets on the page whenever they move. Query of the page:
// initial=1,1,1 (where fits start) and targets=0.8,2.5,4.5 (at first).
import * as ort from './ort/ort.wasm.min.mjs'

const RESULTS = ['converged', 'stationary: the nearest there is', 'step limit reached',
  'stalled', 'no finite step', 'these targets are no spectrum', 'least-squares minimum']
const SUCCESSES = [0, 6]
const TOLERANCE = 0 // the default of the model, relative to the targets
const MAX_STEPS = 1000

ort.env.wasm.wasmPaths = new URL('./ort/', import.meta.url).href
ort.env.wasm.numThreads = 1 // more need a page that is isolated from others

const element = (id) => document.getElementById(id)
const query = new URLSearchParams(location.search)
const numbers = (text) => text.split(',').map(Number)

const say = (text, isBad = false) => {
  element('state').textContent = text
  element('state').className = isBad ? 'bad' : ''
}

const table = (id, rows) => {
  element(id).replaceChildren(...rows.map((row) => {
    const line = document.createElement('tr')
    line.append(...row.map((value) => {
      const cell = document.createElement('td')
      cell.textContent = typeof value === 'number' ? value.toFixed(6) : value
      return cell
    }))
    return line
  }))
}

const slider = (value, k, all) => {
  const label = document.createElement('label')
  const input = document.createElement('input')
  const shown = document.createElement('output')
  const reach = Math.max(1, all.at(-1) - all[0])
  Object.assign(input, { type: 'range', min: all[0] - reach, max: all.at(-1) + reach,
    step: 'any', value })
  input.addEventListener('input', update)
  label.append(`target ${k + 1}`, input, shown)
  element('targets').append(label)
}

const fit = async (session, initial, targets) => {
  const type = session.inputMetadata.find((x) => x.name === 'initial').type
  const Numbers = type === 'float32' ? Float32Array : Float64Array
  const tensor = (values, shape) => new ort.Tensor(type, Numbers.from(values), shape)
  const outputs = await session.run({
    initial: tensor(initial, [1, initial.length]),
    targets: tensor(targets, [1, targets.length]),
    tolerance: tensor([TOLERANCE], [1]),
    max_steps: new ort.Tensor('int32', Int32Array.of(MAX_STEPS), [1]),
  })
  return Object.fromEntries(
    Object.entries(outputs).map(([name, x]) => [name, Array.from(x.data)]))
}

let session
let running = false
let moved = false
window.answer = null // what the page shows, for tests and other scripts

async function update() {
  moved = true
  if (running) return // the fit that runs is followed by one of the newest targets
  running = true
  while (moved) {
    moved = false
    await show()
  }
  running = false
}

async function show() {
  const inputs = [...document.querySelectorAll('input')]
  const targets = inputs.map((x) => x.valueAsNumber)
  for (const x of inputs) x.nextSibling.textContent = x.valueAsNumber.toFixed(3)
  const begin = performance.now()
  try {
    const answer = await fit(session, numbers(query.get('initial')), targets)
    const time = (performance.now() - begin).toFixed(1)
    const code = answer.result[0]
    say(`${RESULTS[code]}; ${answer.num_steps[0]} steps, ${time} ms`, !SUCCESSES.includes(code))
    const n = Math.sqrt(answer.matrix.length)
    table('matrix', Array.from({ length: n }, (_, i) =>
      answer.matrix.slice(i * n, (i + 1) * n)))
    table('levels', answer.eigenvalues.map((w, k) => [`level ${k + 1}`, w]))
    window.answer = { targets, ...answer }
  } catch (error) {
    say(`The fit failed: ${error.message}`, true)
    window.answer = { error: String(error) }
  }
}

try {
  if (!query.get('initial') || !query.get('targets')) {
    throw new Error('the address needs ?initial=...&targets=...')
  }
  session = await ort.InferenceSession.create('model.onnx')
  numbers(query.get('targets')).forEach(slider)
  await update()
} catch (error) {
  say(`Cannot start: ${error.message}`, true)
  window.answer = { error: String(error) }
}
