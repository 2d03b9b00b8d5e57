/* Fits a matrix to eigenvalues through the C API of TensorFlow, without Python.
 *
 *     ./fit MODEL SIGNATURE INITIAL TARGETS [MAX_STEPS [TOLERANCE]]
 *     ./fit models/springs/1 serving_default 1,1,1 0.8,2.5,4.5
 *
 * Prints every output of the signature on a line: its name, then its numbers; a result
 * of 0 (the targets are met) or 6 (a least-squares minimum) is a success. Without a
 * TOLERANCE, or with 0, it is the default, relative to the targets. Build it
 * against the libraries of the pip wheel (both are needed):
 *
 *     TF=$(python -c "import tensorflow as tf; print(tf.sysconfig.get_lib())")
 *     gcc -O1 fit.c -o fit -I$TF/include $TF/libtensorflow_cc.so.2 \
 *         $TF/libtensorflow_framework.so.2 -Wl,-rpath,$TF
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

enum { MAX_TENSORS = 16, MAX_NUMBERS = 4096 };

static void fail(const char *what, const char *why) {
  fprintf(stderr, "fit: %s: %s\n", what, why);
  exit(1);
}

/* ---- The tensors of a signature, from the serialised MetaGraphDef. ---- */

typedef struct {
  const uint8_t *at, *end;
} Bytes;

typedef struct {
  Bytes key;   /* name in the signature */
  Bytes value; /* name in the graph, "StatefulPartitionedCall:3" */
} Entry;

typedef struct {
  Entry entries[MAX_TENSORS];
  int size;
} Map;

static uint64_t varint(Bytes *b) {
  uint64_t value = 0;
  for (int shift = 0; b->at < b->end; shift += 7) {
    uint8_t byte = *b->at++;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return value;
  }
  fail("model", "its meta graph is damaged");
  return 0;
}

/* Reads one field of a message: its number, and its content if that has a length. */
static int next_field(Bytes *b, Bytes *content) {
  if (b->at >= b->end) return 0;
  uint64_t tag = varint(b);
  uint64_t skip = 0;
  switch (tag & 7) {
    case 0: varint(b); break;
    case 1: skip = 8; break;
    case 2: skip = varint(b); break;
    case 5: skip = 4; break;
    default: fail("model", "its meta graph is damaged");
  }
  if (skip > (uint64_t)(b->end - b->at)) fail("model", "its meta graph is damaged");
  content->at = b->at;
  content->end = b->at += skip;
  return (int)(tag >> 3);
}

static Bytes field_of(Bytes message, int wanted) {
  Bytes content, found = {NULL, NULL};
  for (int number; (number = next_field(&message, &content));)
    if (number == wanted) found = content;
  return found;
}

static int is(Bytes b, const char *text) {
  size_t size = strlen(text);
  return (size_t)(b.end - b.at) == size && !memcmp(b.at, text, size);
}

/* MetaGraphDef.signature_def = 5, SignatureDef.inputs = 1 and outputs = 2, TensorInfo
 * .name = 1; in an entry of a map, key = 1 and value = 2. */
static void find_signature(Bytes graph, const char *name, Map *inputs, Map *outputs) {
  Bytes entry, item;
  for (int number; (number = next_field(&graph, &entry));) {
    if (number != 5 || !is(field_of(entry, 1), name)) continue;
    Bytes signature = field_of(entry, 2);
    for (int kind; (kind = next_field(&signature, &item));) {
      Map *map = kind == 1 ? inputs : kind == 2 ? outputs : NULL;
      if (!map) continue;
      if (map->size == MAX_TENSORS) fail(name, "has too many tensors");
      Entry *to = &map->entries[map->size++];
      to->key = field_of(item, 1);
      to->value = field_of(field_of(item, 2), 1);
    }
    return;
  }
  fail(name, "no such signature");
}

static TF_Output in_graph(TF_Graph *graph, Bytes name) {
  char text[256];
  size_t size = name.end - name.at;
  if (size >= sizeof text) fail("model", "a tensor has too long a name");
  memcpy(text, name.at, size);
  text[size] = 0;
  char *colon = strchr(text, ':');
  int index = colon ? atoi(colon + 1) : 0;
  if (colon) *colon = 0;
  TF_Output output = {TF_GraphOperationByName(graph, text), index};
  if (!output.oper) fail(text, "not in the graph");
  return output;
}

/* ---- Numbers. ---- */

static int parse(const char *text, double *numbers) {
  int size = 0;
  for (char *end; *text; text = *end ? end + 1 : end) {
    if (size == MAX_NUMBERS) fail("arguments", "too many numbers");
    numbers[size++] = strtod(text, &end);
    if (end == text || (*end && *end != ',')) fail(text, "is no list of numbers");
  }
  return size;
}

static TF_Tensor *doubles(const char *text, int rank) {
  double numbers[MAX_NUMBERS];
  int64_t dims[2] = {1, parse(text, numbers)};
  size_t bytes = dims[1] * sizeof(double);
  TF_Tensor *tensor = TF_AllocateTensor(TF_DOUBLE, dims, rank, bytes);
  memcpy(TF_TensorData(tensor), numbers, bytes);
  return tensor;
}

static TF_Tensor *integer(int32_t value) {
  int64_t dims[1] = {1};
  TF_Tensor *tensor = TF_AllocateTensor(TF_INT32, dims, 1, sizeof value);
  memcpy(TF_TensorData(tensor), &value, sizeof value);
  return tensor;
}

static void print(Bytes name, TF_Tensor *tensor) {
  printf("%.*s", (int)(name.end - name.at), (const char *)name.at);
  int64_t size = TF_TensorElementCount(tensor);
  for (int64_t k = 0; k < size; k++) {
    if (TF_TensorType(tensor) == TF_DOUBLE)
      printf(" %.17g", ((double *)TF_TensorData(tensor))[k]);
    else
      printf(" %d", ((int32_t *)TF_TensorData(tensor))[k]);
  }
  printf("\n");
}

int main(int argc, char **argv) {
  if (argc < 5) fail("arguments", "MODEL SIGNATURE INITIAL TARGETS [STEPS [TOLERANCE]]");
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_Buffer *meta = TF_NewBuffer();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(
      options, NULL, argv[1], tags, 1, graph, meta, status);
  if (TF_GetCode(status)) fail(argv[1], TF_Message(status));

  Map inputs = {0}, outputs = {0};
  Bytes bytes = {meta->data, (const uint8_t *)meta->data + meta->length};
  find_signature(bytes, argv[2], &inputs, &outputs);

  TF_Output from[MAX_TENSORS], to[MAX_TENSORS];
  TF_Tensor *given[MAX_TENSORS], *found[MAX_TENSORS];
  for (int k = 0; k < inputs.size; k++) {
    Bytes name = inputs.entries[k].key;
    from[k] = in_graph(graph, inputs.entries[k].value);
    if (is(name, "initial")) given[k] = doubles(argv[3], 2);
    else if (is(name, "targets")) given[k] = doubles(argv[4], 2);
    else if (is(name, "max_steps")) given[k] = integer(argc > 5 ? atoi(argv[5]) : 1000);
    else if (is(name, "tolerance")) given[k] = doubles(argc > 6 ? argv[6] : "0", 1);
    else fail(argv[2], "takes something else; give a fit");
  }
  for (int k = 0; k < outputs.size; k++)
    to[k] = in_graph(graph, outputs.entries[k].value);

  TF_SessionRun(session, NULL, from, given, inputs.size, to, found, outputs.size, NULL,
                0, NULL, status);
  if (TF_GetCode(status)) fail(argv[2], TF_Message(status));
  for (int k = 0; k < outputs.size; k++) {
    print(outputs.entries[k].key, found[k]);
    TF_DeleteTensor(found[k]);
  }
  for (int k = 0; k < inputs.size; k++) TF_DeleteTensor(given[k]);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteBuffer(meta);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
