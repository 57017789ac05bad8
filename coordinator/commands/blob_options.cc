#include "coordinator/commands/blob_options.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

}  // namespace

po::options_description BlobOptionsFor(BlobPlaces& blobs) {
  po::options_description options("Blobs in an S3-compatible store");
  options.add_options()("blobs", po::value(&blobs.url)->value_name("s3://BUCKET/PREFIX"),
                        "where blobs and uploads live; default: folders in the state folder")(
      "s3-endpoint", po::value(&blobs.s3_endpoint)->value_name("URL"),
      "http(s)://HOST[:PORT] of the store; default: AWS, by region")(
      "s3-public-endpoint", po::value(&blobs.s3_public_endpoint)->value_name("URL"),
      "the same, as devices reach it; default: --s3-endpoint")(
      "s3-region", po::value(&blobs.s3_region)->value_name("REGION"),
      "default: AWS_REGION, or us-east-1")(
      "s3-ca-file", po::value(&blobs.s3_ca_file)->value_name("FILE"),
      "CAs of the store's certificate (PEM); default: the system's")(
      "s3-credentials", po::value(&blobs.s3_credentials)->value_name("FILE"),
      "a file as ~/.aws/credentials; default: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
      "AWS_SESSION_TOKEN");
  return options;
}

}  // namespace muster::commands
