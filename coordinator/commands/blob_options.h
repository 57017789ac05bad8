// Where blobs and uploads live: the same options wherever they are opened.
#pragma once

#include <boost/program_options.hpp>

#include "coordinator/blobs/open_blobs.h"

namespace muster::commands {

// Into `blobs`, which outlives the parsing. Its folders are not among them.
boost::program_options::options_description BlobOptionsFor(BlobPlaces& blobs);

}  // namespace muster::commands
