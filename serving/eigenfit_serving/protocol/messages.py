"""The message classes, under their names in TensorFlow and TensorFlow Serving."""

from __future__ import annotations

from typing import Any

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message_factory import GetMessageClass

from eigenfit_serving.protocol.pool import POOL


def _message(name: str) -> Any:
    return GetMessageClass(POOL.FindMessageTypeByName(name))


def _enum(name: str) -> Any:
    return EnumTypeWrapper(POOL.FindEnumTypeByName(name))


DataType = _enum("tensorflow.DataType")
TensorShapeProto = _message("tensorflow.TensorShapeProto")
TensorProto = _message("tensorflow.TensorProto")
TensorInfo = _message("tensorflow.TensorInfo")
SignatureDef = _message("tensorflow.SignatureDef")
Feature = _message("tensorflow.Feature")
Features = _message("tensorflow.Features")
Example = _message("tensorflow.Example")
BytesList = _message("tensorflow.BytesList")
FloatList = _message("tensorflow.FloatList")
Int64List = _message("tensorflow.Int64List")

ErrorCode = _enum("tensorflow.error.Code")

ModelSpec = _message("tensorflow.serving.ModelSpec")
PredictRequest = _message("tensorflow.serving.PredictRequest")
PredictResponse = _message("tensorflow.serving.PredictResponse")
ExampleList = _message("tensorflow.serving.ExampleList")
ExampleListWithContext = _message("tensorflow.serving.ExampleListWithContext")
Input = _message("tensorflow.serving.Input")
Class = _message("tensorflow.serving.Class")
Classifications = _message("tensorflow.serving.Classifications")
ClassificationResult = _message("tensorflow.serving.ClassificationResult")
ClassificationRequest = _message("tensorflow.serving.ClassificationRequest")
ClassificationResponse = _message("tensorflow.serving.ClassificationResponse")
Regression = _message("tensorflow.serving.Regression")
RegressionResult = _message("tensorflow.serving.RegressionResult")
RegressionRequest = _message("tensorflow.serving.RegressionRequest")
RegressionResponse = _message("tensorflow.serving.RegressionResponse")
InferenceTask = _message("tensorflow.serving.InferenceTask")
InferenceResult = _message("tensorflow.serving.InferenceResult")
MultiInferenceRequest = _message("tensorflow.serving.MultiInferenceRequest")
MultiInferenceResponse = _message("tensorflow.serving.MultiInferenceResponse")
SignatureDefMap = _message("tensorflow.serving.SignatureDefMap")
GetModelMetadataRequest = _message("tensorflow.serving.GetModelMetadataRequest")
GetModelMetadataResponse = _message("tensorflow.serving.GetModelMetadataResponse")
StatusProto = _message("tensorflow.serving.StatusProto")
GetModelStatusRequest = _message("tensorflow.serving.GetModelStatusRequest")
ModelVersionStatus = _message("tensorflow.serving.ModelVersionStatus")
GetModelStatusResponse = _message("tensorflow.serving.GetModelStatusResponse")
ReloadConfigRequest = _message("tensorflow.serving.ReloadConfigRequest")
ReloadConfigResponse = _message("tensorflow.serving.ReloadConfigResponse")
Metric = _message("tensorflow.serving.Metric")
PredictionLog = _message("tensorflow.serving.PredictionLog")
PredictLog = _message("tensorflow.serving.PredictLog")
ClassifyLog = _message("tensorflow.serving.ClassifyLog")
RegressLog = _message("tensorflow.serving.RegressLog")
MultiInferenceLog = _message("tensorflow.serving.MultiInferenceLog")
FileSystemStoragePathSourceConfig = _message(
    "tensorflow.serving.FileSystemStoragePathSourceConfig"
)
ModelConfig = _message("tensorflow.serving.ModelConfig")
ModelConfigList = _message("tensorflow.serving.ModelConfigList")
ModelServerConfig = _message("tensorflow.serving.ModelServerConfig")
BatchingParameters = _message("tensorflow.serving.BatchingParameters")
PrometheusConfig = _message("tensorflow.serving.PrometheusConfig")
MonitoringConfig = _message("tensorflow.serving.MonitoringConfig")
SSLConfig = _message("tensorflow.serving.SSLConfig")

Any_ = _message("google.protobuf.Any")
Int64Value = _message("google.protobuf.Int64Value")

HealthCheckRequest = _message("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse = _message("grpc.health.v1.HealthCheckResponse")
HealthListRequest = _message("grpc.health.v1.HealthListRequest")
HealthListResponse = _message("grpc.health.v1.HealthListResponse")
