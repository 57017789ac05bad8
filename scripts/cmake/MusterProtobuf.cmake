# muster_proto_library(NAME PROTOS file.proto ... [GRPC])
# Generates C++ from protos that import each other by their path below proto/.
function(muster_proto_library name)
  cmake_parse_arguments(ARG "GRPC" "" "PROTOS;PUBLIC" ${ARGN})
  set(root "${CMAKE_SOURCE_DIR}/proto")
  set(out "${CMAKE_BINARY_DIR}/proto_gen")
  file(MAKE_DIRECTORY "${out}")
  set(sources "")
  foreach(proto IN LISTS ARG_PROTOS)
    string(REGEX REPLACE "\\.proto$" "" stem "${proto}")
    set(generated "${out}/${stem}.pb.cc" "${out}/${stem}.pb.h")
    set(plugin_args "")
    if(ARG_GRPC)
      list(APPEND generated "${out}/${stem}.grpc.pb.cc" "${out}/${stem}.grpc.pb.h")
      set(plugin_args --grpc_out "${out}"
          "--plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>")
    endif()
    add_custom_command(
      OUTPUT ${generated}
      COMMAND protobuf::protoc -I "${root}" --cpp_out "${out}" ${plugin_args} "${root}/${proto}"
      DEPENDS "${root}/${proto}" protobuf::protoc
      COMMENT "protoc ${proto}")
    list(APPEND sources ${generated})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} SYSTEM PUBLIC "${out}")
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf ${ARG_PUBLIC})
  if(ARG_GRPC)
    target_link_libraries(${name} PUBLIC gRPC::grpc++)
  endif()
endfunction()
