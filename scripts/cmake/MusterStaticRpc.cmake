# muster_static_rpc: gRPC, Protobuf and Abseil from their archives. As some sixty shared libraries
# they take the dynamic linker longer than all else in a start. For programs that start often and
# that load no other library which uses these three.
#
# To be named first among a program's libraries, and whole: a shared library that comes later on the
# linker's line would otherwise be brought back for what nobody had asked for yet.
add_library(muster_static_rpc INTERFACE)
option(MUSTER_STATIC_RPC "Link gRPC, Protobuf and Abseil into the programs that start often" ON)

# Sanitizers want the shared ones: tsan tells a system library by its file.
if(NOT MUSTER_STATIC_RPC OR MUSTER_SANITIZE)
  return()
endif()

get_target_property(muster_grpc_file gRPC::grpc LOCATION)
get_filename_component(muster_grpc_dir "${muster_grpc_file}" DIRECTORY)
function(muster_find_archives result)
  list(TRANSFORM ARGN PREPEND "${muster_grpc_dir}/lib")
  list(TRANSFORM ARGN APPEND ".a")
  foreach(archive ${ARGN})
    if(NOT EXISTS "${archive}")
      message(STATUS "No ${archive}: programs link the shared libraries, and start slower")
      set(ARGN)
      break()
    endif()
  endforeach()
  set(${result} "${ARGN}" PARENT_SCOPE)
endfunction()

muster_find_archives(muster_rpc_archives grpc++_reflection grpc++ grpc gpr protobuf)
# What gRPC alone uses, and partly carries itself.
muster_find_archives(muster_rpc_own_archives upb address_sorting)
file(GLOB muster_absl_archives "${muster_grpc_dir}/libabsl_*.a")
if(muster_rpc_archives AND muster_rpc_own_archives AND muster_absl_archives)
  list(APPEND muster_rpc_archives ${muster_absl_archives})
  target_link_libraries(muster_static_rpc INTERFACE
    -Wl,--as-needed "$<LINK_LIBRARY:WHOLE_ARCHIVE,${muster_rpc_archives}>"
    ${muster_rpc_own_archives})
endif()
