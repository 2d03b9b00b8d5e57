// Fits a matrix to eigenvalues through the C++ API of TensorFlow.
//
//     ./fit MODEL SIGNATURE INITIAL TARGETS [MAX_STEPS [TOLERANCE]]
//
// Prints every output of the signature on a line: its name, then its numbers; a result
// of 0 (the targets are met) or 6 (a least-squares minimum) is a success. Without a
// TOLERANCE, or with 0, it is the default, relative to the targets. Build it
// against the pip wheel; without --no-as-needed the linker drops the library that
// holds the session:
//
//     TF=$(python -c "import tensorflow as tf; print(tf.sysconfig.get_lib())")
//     g++ -std=c++17 -O1 fit.cc -o fit -I$TF/include -D_GLIBCXX_USE_CXX11_ABI=1 \
//         -DEIGEN_MAX_ALIGN_BYTES=64 -Wl,--no-as-needed $TF/libtensorflow_cc.so.2 \
//         $TF/libtensorflow_framework.so.2 -Wl,-rpath,$TF
//
// With -DNO_XLA it refuses to compile by XLA, as a stock TensorFlow Serving does.
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/public/session.h"

#ifdef NO_XLA
namespace tensorflow {
void DisableXlaCompilation();
}
#endif

namespace tf = tensorflow;

tf::Tensor Doubles(const std::string& text, int rank) {
  std::vector<double> numbers;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');)
    numbers.push_back(std::stod(part));
  tf::TensorShape shape({1});
  if (rank == 2) shape.AddDim(numbers.size());
  tf::Tensor tensor(tf::DT_DOUBLE, shape);
  std::copy(numbers.begin(), numbers.end(), tensor.flat<double>().data());
  return tensor;
}

void Check(const tf::Status& status) {
  if (status.ok()) return;
  std::cerr << "fit: " << status.ToString() << "\n";
  std::exit(1);
}

int main(int argc, char** argv) {
  const std::vector<std::string> given(argv + 1, argv + argc);
  if (given.size() < 4) {
    std::cerr << "fit: MODEL SIGNATURE INITIAL TARGETS [MAX_STEPS [TOLERANCE]]\n";
    return 1;
  }
#ifdef NO_XLA
  tf::DisableXlaCompilation();
#endif
  tf::SavedModelBundle model;
  Check(tf::LoadSavedModel({}, {}, given[0], {"serve"}, &model));
  const auto& signatures = model.GetSignatures();
  const auto found = signatures.find(given[1]);
  if (found == signatures.end()) {
    std::cerr << "fit: " << given[1] << ": no such signature\n";
    return 1;
  }

  tf::Tensor steps(tf::DT_INT32, tf::TensorShape({1}));
  steps.flat<int32_t>()(0) = given.size() > 4 ? std::stoi(given[4]) : 1000;
  std::vector<std::pair<std::string, tf::Tensor>> inputs;
  for (const auto& [name, info] : found->second.inputs()) {
    if (name == "initial") inputs.emplace_back(info.name(), Doubles(given[2], 2));
    if (name == "targets") inputs.emplace_back(info.name(), Doubles(given[3], 2));
    if (name == "max_steps") inputs.emplace_back(info.name(), steps);
    if (name == "tolerance")
      inputs.emplace_back(info.name(),
                          Doubles(given.size() > 5 ? given[5] : "0", 1));
  }
  std::vector<std::string> names, tensors;
  for (const auto& [name, info] : found->second.outputs()) {
    names.push_back(name);
    tensors.push_back(info.name());
  }

  std::vector<tf::Tensor> outputs;
  Check(model.session->Run(inputs, tensors, {}, &outputs));
  std::cout << std::setprecision(17);
  for (size_t k = 0; k < names.size(); ++k) {
    std::cout << names[k];
    const tf::Tensor& x = outputs[k];
    for (int64_t i = 0; i < x.NumElements(); ++i) {
      std::cout << ' ';
      if (x.dtype() == tf::DT_DOUBLE) std::cout << x.flat<double>()(i);
      else std::cout << x.flat<int32_t>()(i);
    }
    std::cout << "\n";
  }
  return 0;
}
