#include "client/functions/inference_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

namespace muster {
namespace {

using absl::StatusCode;
using nlohmann::json;

const ServedModel kModel = {.name = "m", .version = "2", .input_shape = {1, 2}, .outputs = 3};

json Request() {
  return {
      {"inputs",
       {{{"name", "input"}, {"datatype", "FP32"}, {"shape", {2, 1, 2}}, {"data", {1, 2, 3, 4}}}}}};
}

absl::StatusOr<InferCall> Parse(const json& request) {
  return ParseInferCall(kModel, request.dump(), std::nullopt);
}

TEST(ParseRoute, KnowsEveryPathOfTheProtocol) {
  const auto route = [](std::string_view method, std::string_view target) {
    return ParseRoute(method, target).value_or(Route{RouteKind::kModelList, "?", "?"});
  };
  EXPECT_EQ(route("GET", "/v2"), (Route{RouteKind::kServerMetadata, "", ""}));
  EXPECT_EQ(route("GET", "/v2/"), (Route{RouteKind::kServerMetadata, "", ""}));
  EXPECT_EQ(route("GET", "/v2/health/live"), (Route{RouteKind::kLive, "", ""}));
  EXPECT_EQ(route("GET", "/v2/health/ready?x=1"), (Route{RouteKind::kReady, "", ""}));
  EXPECT_EQ(route("GET", "/v2/models/a"), (Route{RouteKind::kModelMetadata, "a", ""}));
  EXPECT_EQ(route("GET", "/v2/models/a/versions/7"), (Route{RouteKind::kModelMetadata, "a", "7"}));
  EXPECT_EQ(route("GET", "/v2/models/a/ready"), (Route{RouteKind::kModelReady, "a", ""}));
  EXPECT_EQ(route("POST", "/v2/models/a/infer"), (Route{RouteKind::kInfer, "a", ""}));
  EXPECT_EQ(route("POST", "/v2/models/a/versions/7/infer"), (Route{RouteKind::kInfer, "a", "7"}));
  EXPECT_EQ(route("POST", "/v2/repository/index"), (Route{RouteKind::kRepositoryIndex, "", ""}));
}

TEST(ParseRoute, RefusesOtherPathsAndMethods) {
  for (const char* target : {"", "/", "v2", "/v3", "/v2/health", "/v2/health/x", "/v2/models/a/b",
                             "/v2/models/a/infer/x", "/v2/models/a/versions", "/v2x/models"}) {
    EXPECT_EQ(ParseRoute("GET", target).status().code(), StatusCode::kNotFound) << target;
  }
  EXPECT_EQ(ParseRoute("GET", "/" + std::string(10'000, 'x')).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(ParseRoute("GET", "/v2/models/a/infer").status().code(), StatusCode::kUnimplemented);
  EXPECT_EQ(ParseRoute("DELETE", "/v2/models/a").status().code(), StatusCode::kUnimplemented);
}

TEST(ParseInferCall, ReadsFlatAndNestedNumbersAlike) {
  json request = Request();
  const auto flat = Parse(request);
  ASSERT_TRUE(flat.ok()) << flat.status();
  EXPECT_EQ(flat->rows, 2u);
  EXPECT_EQ(flat->values, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_FALSE(flat->binary_output);
  request["inputs"][0]["data"] = {{{1, 2}}, {{3, 4}}};
  EXPECT_EQ(*Parse(request), *flat);
}

TEST(ParseInferCall, RefusesEachWrongFieldWithItsName) {
  const std::pair<const char*, json> patches[] = {
      {"inputs", R"([{"op":"remove","path":"/inputs"}])"_json},
      {"inputs", R"([{"op":"replace","path":"/inputs","value":[]}])"_json},
      {"inputs", R"([{"op":"replace","path":"/inputs","value":[1]}])"_json},
      {"name", R"([{"op":"remove","path":"/inputs/0/name"}])"_json},
      {"no input", R"([{"op":"replace","path":"/inputs/0/name","value":"x"}])"_json},
      {"FP32", R"([{"op":"replace","path":"/inputs/0/datatype","value":"INT8"}])"_json},
      {"shape", R"([{"op":"replace","path":"/inputs/0/shape","value":[2,2]}])"_json},
      {"shape", R"([{"op":"replace","path":"/inputs/0/shape","value":[2,1,3]}])"_json},
      {"shape", R"([{"op":"replace","path":"/inputs/0/shape","value":[0,1,2]}])"_json},
      {"shape", R"([{"op":"replace","path":"/inputs/0/shape","value":[-1,1,2]}])"_json},
      {"data", R"([{"op":"remove","path":"/inputs/0/data"}])"_json},
      {"data", R"([{"op":"replace","path":"/inputs/0/data","value":[1,2,3]}])"_json},
      {"data", R"([{"op":"replace","path":"/inputs/0/data","value":[1,2,3,4,5]}])"_json},
      {"numbers", R"([{"op":"replace","path":"/inputs/0/data","value":[1,2,3,"4"]}])"_json},
      {"finite", R"([{"op":"replace","path":"/inputs/0/data","value":[1,2,3,1e39]}])"_json},
      {"nested",
       R"([{"op":"replace","path":"/inputs/0/data","value":[[[[[[[[[[1]]]]]]]]]]}])"_json},
      {"output", R"([{"op":"add","path":"/outputs","value":[{"name":"x"}]}])"_json},
      {"outputs", R"([{"op":"add","path":"/outputs","value":1}])"_json},
      {"id", R"([{"op":"add","path":"/id","value":1}])"_json},
      {"parameters", R"([{"op":"add","path":"/parameters","value":1}])"_json},
      {"binary_data_output",
       R"([{"op":"add","path":"/parameters","value":{"binary_data_output":1}}])"_json},
      {"binary_data_size",
       R"([{"op":"add","path":"/inputs/0/parameters","value":{"binary_data_size":16}}])"_json},
  };
  for (const auto& [named, patch] : patches) {
    const auto call = Parse(Request().patch(patch));
    EXPECT_EQ(call.status().code(), StatusCode::kInvalidArgument) << patch;
    EXPECT_THAT(std::string(call.status().message()), testing::HasSubstr(named)) << patch;
  }
  EXPECT_EQ(ParseInferCall(kModel, "[]", std::nullopt).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseInferCall(kModel, "", std::nullopt).status().code(), StatusCode::kInvalidArgument);
}

TEST(ParseInferCall, TooManyExamplesAreTooLargeNotWrong) {
  json request = Request();
  request["inputs"][0]["shape"] = {kMaxInferRows + 1, 1, 2};
  EXPECT_EQ(Parse(request).status().code(), StatusCode::kOutOfRange);
  request["inputs"][0]["shape"] = {std::numeric_limits<uint64_t>::max(), 1, 2};
  EXPECT_EQ(Parse(request).status().code(), StatusCode::kOutOfRange);
}

TEST(BinaryTensors, WhatWriteBinaryRequestWritesIsParsedBack) {
  const std::vector<float> values = {0.5f, -1.0f, 3.0f, 1e-3f};
  const HttpRequest request = WriteBinaryRequest(kModel, values, 2);
  EXPECT_EQ(request.target, "/v2/models/m/versions/2/infer");
  const auto length = ParseHeaderLength(request.headers);
  ASSERT_TRUE(length.ok() && length->has_value());
  const auto call = ParseInferCall(kModel, request.body, *length);
  ASSERT_TRUE(call.ok()) << call.status();
  EXPECT_EQ(call->values, values);
  EXPECT_TRUE(call->binary_output);
}

TEST(BinaryTensors, LengthsThatDisagreeAreRefused) {
  const std::vector<float> values = {0.5f, -1.0f, 3.0f, 1e-3f};
  const HttpRequest request = WriteBinaryRequest(kModel, values, 2);
  const uint64_t length = **ParseHeaderLength(request.headers);
  for (uint64_t wrong : {uint64_t{0}, length - 1, length + 1, uint64_t{request.body.size() + 1}}) {
    EXPECT_EQ(ParseInferCall(kModel, request.body, wrong).status().code(),
              StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(ParseInferCall(kModel, request.body + "x", length).ok());
  EXPECT_FALSE(ParseHeaderLength({{kHeaderLengthField, "-1"}}).ok());
  EXPECT_FALSE(ParseHeaderLength({{kHeaderLengthField, "12x"}}).ok());
}

TEST(BinaryTensors, ValuesThatAreNotFiniteAreRefused) {
  const std::vector<float> values = {0.5f, std::nanf(""), 3.0f, 1};
  const HttpRequest request = WriteBinaryRequest(kModel, values, 2);
  EXPECT_FALSE(ParseInferCall(kModel, request.body, **ParseHeaderLength(request.headers)).ok());
}

TEST(WriteInferReply, NumbersSurviveTheWayThroughJson) {
  const std::vector<float> outputs = {0.1f, -3.4028235e38f, 1.1754944e-38f, 0.0f, 1.0f / 3, 1e10f};
  const HttpReply reply = WriteInferReply(kModel, {"an \"id\"", 2, {}, false}, outputs);
  const auto body = json::parse(reply.body);
  EXPECT_EQ(body["id"], "an \"id\"");
  EXPECT_EQ(body["outputs"][0]["shape"], (std::vector<int>{2, 3}));
  EXPECT_EQ(body["outputs"][0]["data"].get<std::vector<float>>(), outputs);
}

TEST(ErrorReply, MapsCodesAndIsAlwaysJson) {
  EXPECT_EQ(ErrorReply(absl::InvalidArgumentError("x")).status, 400);
  EXPECT_EQ(ErrorReply(absl::NotFoundError("x")).status, 404);
  EXPECT_EQ(ErrorReply(absl::OutOfRangeError("x")).status, 413);
  EXPECT_EQ(ErrorReply(absl::InternalError("x")).status, 500);
  const HttpReply reply = ErrorReply(400, "not UTF-8: \xff \"quoted\"");
  EXPECT_TRUE(json::parse(reply.body)["error"].is_string());
}

}  // namespace
}  // namespace muster
