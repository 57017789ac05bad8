# muster_proto_library(NAME PROTOS file.proto ... [GRPC] [PUBLIC libs...])
# Generates C++ from protos that import each other by their path below proto/. Without GRPC: the
# messages. With GRPC: the services only, whose messages are in one of the PUBLIC libraries, so that
# who speaks messages without calling anybody does not link gRPC.
function(muster_proto_library name)
  cmake_parse_arguments(ARG "GRPC" "" "PROTOS;PUBLIC" ${ARGN})
  set(root "${CMAKE_SOURCE_DIR}/proto")
  set(out "${CMAKE_BINARY_DIR}/proto_gen")
  file(MAKE_DIRECTORY "${out}")
  if(ARG_GRPC)
    set(suffix ".grpc.pb")
    set(generator --grpc_out "${out}"
        "--plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>")
    set(runtime gRPC::grpc++)
  else()
    set(suffix ".pb")
    set(generator --cpp_out "${out}")
    set(runtime protobuf::libprotobuf)
  endif()
  set(sources "")
  foreach(proto IN LISTS ARG_PROTOS)
    string(REGEX REPLACE "\\.proto$" "" stem "${proto}")
    set(generated "${out}/${stem}${suffix}.cc" "${out}/${stem}${suffix}.h")
    add_custom_command(
      OUTPUT ${generated}
      COMMAND protobuf::protoc -I "${root}" ${generator} "${root}/${proto}"
      DEPENDS "${root}/${proto}" protobuf::protoc
      COMMENT "protoc ${proto}")
    list(APPEND sources ${generated})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} SYSTEM PUBLIC "${out}")
  target_link_libraries(${name} PUBLIC ${ARG_PUBLIC} ${runtime})
endfunction()
