"""Messages of TensorFlow: tensors, signatures, examples."""

from __future__ import annotations

from eigenfit_serving.protocol.status import Code

# In the order of their numbers, from 0.
_DTYPES = (
    "INVALID FLOAT DOUBLE INT32 UINT8 INT16 INT8 STRING COMPLEX64 INT64 BOOL QINT8 "
    "QUINT8 QINT32 BFLOAT16 QINT16 QUINT16 UINT16 COMPLEX128 HALF RESOURCE VARIANT "
    "UINT32 UINT64 FLOAT8_E5M2 FLOAT8_E4M3FN FLOAT8_E4M3FNUZ FLOAT8_E4M3B11FNUZ "
    "FLOAT8_E5M2FNUZ INT4 UINT4 INT2 UINT2 FLOAT4_E2M1FN"
)


def _enum(name: str, numbers: dict[str, int]) -> str:
    constants = [f"{constant} = {number};" for constant, number in numbers.items()]
    return f"enum {name} {{ {' '.join(constants)} }}\n"


_DATA_TYPE = {f"DT_{name}": number for number, name in enumerate(_DTYPES.split())}
_REFERENCES = {f"{name}_REF": 100 + x for name, x in _DATA_TYPE.items() if x}

TENSORFLOW = (
    _enum("DataType", _DATA_TYPE | _REFERENCES)
    + """
message TensorShapeProto {
  message Dim { int64 size = 1; string name = 2; }
  repeated Dim dim = 2;
  bool unknown_rank = 3;
}
message ResourceHandleProto {
  message DtypeAndShape { DataType dtype = 1; TensorShapeProto shape = 2; }
  string device = 1;
  string container = 2;
  string name = 3;
  uint64 hash_code = 4;
  string maybe_type_name = 5;
  repeated DtypeAndShape dtypes_and_shapes = 6;
}
message VariantTensorDataProto {
  string type_name = 1;
  bytes metadata = 2;
  repeated TensorProto tensors = 3;
}
message TensorProto {
  DataType dtype = 1;
  TensorShapeProto tensor_shape = 2;
  int32 version_number = 3;
  bytes tensor_content = 4;
  repeated float float_val = 5;
  repeated double double_val = 6;
  repeated int32 int_val = 7;
  repeated bytes string_val = 8;
  repeated float scomplex_val = 9;
  repeated int64 int64_val = 10;
  repeated bool bool_val = 11;
  repeated double dcomplex_val = 12;
  repeated int32 half_val = 13;
  repeated ResourceHandleProto resource_handle_val = 14;
  repeated VariantTensorDataProto variant_val = 15;
  repeated uint32 uint32_val = 16;
  repeated uint64 uint64_val = 17;
  bytes float8_val = 18;
}

message BytesList { repeated bytes value = 1; }
message FloatList { repeated float value = 1; }
message Int64List { repeated int64 value = 1; }
message Feature {
  oneof kind { BytesList bytes_list = 1; FloatList float_list = 2;
               Int64List int64_list = 3; }
}
message Features { map<string, Feature> feature = 1; }
message Example { Features features = 1; }

message NoneValue { }
message ListValue { repeated StructuredValue values = 1; }
message TupleValue { repeated StructuredValue values = 1; }
message DictValue { map<string, StructuredValue> fields = 1; }
message PairValue { string key = 1; StructuredValue value = 2; }
message NamedTupleValue { string name = 1; repeated PairValue values = 2; }
message TensorSpecProto {
  string name = 1; TensorShapeProto shape = 2; DataType dtype = 3;
}
message BoundedTensorSpecProto {
  string name = 1; TensorShapeProto shape = 2; DataType dtype = 3;
  TensorProto minimum = 4; TensorProto maximum = 5;
}
message TypeSpecProto {
  enum TypeSpecClass {
    UNKNOWN = 0; SPARSE_TENSOR_SPEC = 1; INDEXED_SLICES_SPEC = 2;
    RAGGED_TENSOR_SPEC = 3; TENSOR_ARRAY_SPEC = 4; DATA_DATASET_SPEC = 5;
    DATA_ITERATOR_SPEC = 6; OPTIONAL_SPEC = 7; PER_REPLICA_SPEC = 8;
    VARIABLE_SPEC = 9; ROW_PARTITION_SPEC = 10; REGISTERED_TYPE_SPEC = 12;
    EXTENSION_TYPE_SPEC = 13;
  }
  TypeSpecClass type_spec_class = 1;
  StructuredValue type_state = 2;
  string type_spec_class_name = 3;
  int32 num_flat_components = 4;
}
message StructuredValue {
  oneof kind {
    NoneValue none_value = 1; double float64_value = 11; sint64 int64_value = 12;
    string string_value = 13; bool bool_value = 14;
    TensorShapeProto tensor_shape_value = 31; DataType tensor_dtype_value = 32;
    TensorSpecProto tensor_spec_value = 33; TypeSpecProto type_spec_value = 34;
    BoundedTensorSpecProto bounded_tensor_spec_value = 35;
    ListValue list_value = 51; TupleValue tuple_value = 52; DictValue dict_value = 53;
    NamedTupleValue named_tuple_value = 54; TensorProto tensor_value = 55;
    TensorProto numpy_value = 56;
  }
}
message TensorInfo {
  message CooSparse {
    string values_tensor_name = 1;
    string indices_tensor_name = 2;
    string dense_shape_tensor_name = 3;
  }
  message CompositeTensor {
    TypeSpecProto type_spec = 1; repeated TensorInfo components = 2;
  }
  oneof encoding {
    string name = 1; CooSparse coo_sparse = 4; CompositeTensor composite_tensor = 5;
  }
  DataType dtype = 2;
  TensorShapeProto tensor_shape = 3;
}
message SignatureDef {
  map<string, TensorInfo> inputs = 1;
  map<string, TensorInfo> outputs = 2;
  string method_name = 3;
  map<string, TensorProto> defaults = 4;
}
"""
)

ERRORS = _enum("Code", {code.name: code.value for code in Code})
