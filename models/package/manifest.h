// The resource kManifestResource of every package is a Manifest in canonical JSON. The structs are
// muster_core's, ManifestToJson and ManifestFromJson the codec's.
#pragma once

#include "proto/codec/model_codec.h"
#include "proto/core/manifest.h"
