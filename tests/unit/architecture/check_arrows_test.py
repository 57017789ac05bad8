#!/usr/bin/env python3
"""Plants forbidden arrows into a small tree and shows that each is caught."""

import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import check_arrows  # noqa: E402

ARROWS = os.path.join(HERE, "arrows.txt")

# What stands in the tree before anything is planted: all of it is allowed.
CLEAN = {
    "proto/core/ids.h": '#include "absl/status/status.h"\n#include <string>\n',
    "proto/core/CMakeLists.txt": "muster_library(muster_core SOURCES ids.cc PUBLIC absl::status)\n",
    "proto/codec/job_codec.h": '#include "muster/v1/job.pb.h"\n#include "proto/core/ids.h"\n',
    "proto/codec/CMakeLists.txt": "muster_library(muster_codec SOURCES a.cc PUBLIC muster_core muster_proto)\n",
    "proto/CMakeLists.txt": (
        "muster_proto_library(muster_proto PROTOS muster/v1/job.proto)\n"
        "muster_proto_library(muster_grpc GRPC PROTOS muster/v1/device.proto PUBLIC muster_proto)\n"),
    "aggregation/sum/weighted_sum.cc": '#include "proto/core/ids.h"\n',
    "aggregation/CMakeLists.txt": "muster_library(muster_aggregation SOURCES sum/a.cc PUBLIC muster_core)\n",
    "models/package/package.cc": '#include "proto/codec/job_codec.h"\n',
    "models/package/CMakeLists.txt": "muster_library(muster_package SOURCES a.cc PUBLIC muster_codec)\n",
    "models/torch/network.cc": "#include <torch/torch.h>\n",
    "models/torch/CMakeLists.txt": "muster_library(muster_torch SOURCES network.cc PRIVATE ${TORCH_LIBRARIES})\n",
    "coordinator/round/round_machine.h": '#include "proto/core/ids.h"\n',
    "coordinator/round/CMakeLists.txt": "muster_library(muster_round SOURCES a.cc PUBLIC muster_core)\n",
    "coordinator/store/records.h": '#include "coordinator/round/round_machine.h"\n',
    "coordinator/store/CMakeLists.txt": (
        "muster_library(muster_store SOURCES a.cc\n  PUBLIC muster_round PRIVATE SQLite::SQLite3)\n"),
    "client/worker/main.cc": '#include "models/torch/functions.h"\n',
    "client/agent/agent.cc": "#include <grpcpp/grpcpp.h>\n// #include \"coordinator/drive/tasks.h\"\n",
    "client/agent/CMakeLists.txt": "muster_library(muster_agent SOURCES agent.cc PUBLIC muster_grpc)\n",
}


class CheckArrows(unittest.TestCase):
    def problems(self, planted, arrows=ARROWS):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**CLEAN, **planted}.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            return check_arrows.check(root, arrows)

    def assert_caught(self, planted, *expected):
        self.assertEqual(self.problems(planted), list(expected))

    def test_accepts_the_clean_tree(self):
        self.assertEqual(self.problems({}), [])

    def test_catches_the_ground_floor_looking_up(self):
        self.assert_caught(
            {"proto/core/bad.cc": '#include "proto/core/ids.h"\n#include "proto/codec/job_codec.h"\n'},
            'proto/core/bad.cc:2: proto/core must not include proto/codec ("proto/codec/job_codec.h")')

    def test_catches_round_that_knows_the_store(self):
        self.assert_caught(
            {"coordinator/round/bad.h": '#include "coordinator/store/records.h"\n'},
            "coordinator/round/bad.h:1: coordinator/round must not include coordinator/store "
            '("coordinator/store/records.h")')

    def test_catches_client_and_coordinator_that_know_each_other(self):
        self.assert_caught(
            {"client/agent/bad.cc": '#include "coordinator/round/round_machine.h"\n',
             "coordinator/drive/bad.cc": '#include "client/agent/agent.h"\n'},
            "client/agent/bad.cc:1: client/agent must not include coordinator/round "
            '("coordinator/round/round_machine.h")',
            'coordinator/drive/bad.cc:1: coordinator/drive must not include client/agent '
            '("client/agent/agent.h")')

    def test_catches_libtorch_outside_its_room(self):
        self.assert_caught(
            {"client/agent/bad.cc": "  #  include <torch/script.h>\n",
             "models/zoo/bad.h": '#include "ATen/ATen.h"\n'},
            "client/agent/bad.cc:1: client/agent must not include torch (<torch/script.h>)",
            "models/zoo/bad.h:1: models/zoo must not include torch (<ATen/ATen.h>)")

    def test_catches_grpc_and_sql_in_pure_rooms(self):
        self.assert_caught(
            {"aggregation/bad.cc": "#include <grpcpp/grpcpp.h>\n",
             "coordinator/rollout/bad.cc": "#include <sqlite3.h>\n",
             "proto/codec/bad.cc": '#include "muster/v1/device.grpc.pb.h"\n'},
            "aggregation/bad.cc:1: aggregation must not include grpc (<grpcpp/grpcpp.h>)",
            "coordinator/rollout/bad.cc:1: coordinator/rollout must not include sql (<sqlite3.h>)",
            "proto/codec/bad.cc:1: proto/codec must not include grpc (<muster/v1/device.grpc.pb.h>)")

    def test_catches_wire_messages_behind_the_door(self):
        self.assert_caught(
            {"coordinator/drive/bad.cc": '#include "muster/v1/job.pb.h"\n'},
            'coordinator/drive/bad.cc:1: coordinator/drive must not include proto/muster ("muster/v1/job.pb.h")')

    def test_catches_program_code_that_includes_tests_or_relative_paths(self):
        self.assert_caught(
            {"client/agent/bad.cc": '#include "tests/support/fleet.h"\n#include "agent.h"\n'},
            'client/agent/bad.cc:1: client/agent must not include tests ("tests/support/fleet.h")',
            'client/agent/bad.cc:2: "agent.h" is not written from the repository\'s root')

    def test_catches_a_forbidden_library(self):
        self.assert_caught(
            {"coordinator/round/CMakeLists.txt":
                "muster_library(muster_round SOURCES a.cc\n  PUBLIC muster_core\n  PRIVATE muster_aggregation)\n"},
            "coordinator/round/CMakeLists.txt:3: coordinator/round must not link muster_aggregation "
            "of aggregation")

    def test_catches_a_library_that_hides_in_a_variable(self):
        self.assert_caught(
            {"client/agent/CMakeLists.txt":
                "set(extra muster_round)\nmuster_library(muster_agent SOURCES a.cc PUBLIC ${extra})\n"},
            "client/agent/CMakeLists.txt:1: client/agent must not link muster_round of coordinator/round")

    def test_catches_a_forbidden_external_library(self):
        self.assert_caught(
            {"models/zoo/CMakeLists.txt":
                "muster_library(muster_zoo SOURCES a.cc)\n"
                "target_link_libraries(muster_zoo PRIVATE ${TORCH_LIBRARIES})\n"},
            "models/zoo/CMakeLists.txt:2: models/zoo must not link torch (${TORCH_LIBRARIES})")

    def test_catches_a_pure_room_that_reaches_grpc_through_an_allowed_library(self):
        self.assertIn(
            "models/package/CMakeLists.txt:1: muster_package of the pure room models/package reaches "
            "grpc (muster_grpc)",
            self.problems({"proto/codec/CMakeLists.txt":
                           "muster_library(muster_codec SOURCES a.cc PUBLIC muster_core muster_grpc)\n"}))

    def test_catches_a_folder_without_a_room(self):
        table = "[rooms]\nproto/core:\n"
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as arrows:
            arrows.write(table)
            arrows.flush()
            self.assertIn("aggregation/sum/weighted_sum.cc:1: is in no room; give its folder a line in "
                          "arrows.txt", self.problems({}, arrows.name))

    def test_refuses_a_root_where_there_is_nothing_to_check(self):
        with tempfile.TemporaryDirectory() as root:
            with self.assertRaisesRegex(check_arrows.TableError, "none of the rooms"):
                check_arrows.check(root, ARROWS)

    def test_ignores_comments(self):
        self.assert_caught(
            {"aggregation/fine.cc": "/* \n#include <torch/torch.h>\n*/\n// #include <sqlite3.h>\n",
             "aggregation/sum/CMakeLists.txt": "# muster_round is not linked\n"})


class ArrowsTable(unittest.TestCase):
    def test_refuses_circles(self):
        with self.assertRaisesRegex(check_arrows.TableError, "circle"):
            check_arrows.Table("[rooms]\na: b\nb: c\nc: a\n")

    def test_refuses_rooms_that_do_not_exist(self):
        with self.assertRaisesRegex(check_arrows.TableError, "no room"):
            check_arrows.Table("[rooms]\na: b\n")

    def test_refuses_arrows_between_rooms_kept_apart_even_through_a_third(self):
        with self.assertRaisesRegex(check_arrows.TableError, "client/a reaches coordinator/x"):
            check_arrows.Table("[rooms]\nclient/a: third\nthird: coordinator/x\ncoordinator/x:\n"
                               "[apart]\nclient coordinator\n")


if __name__ == "__main__":
    unittest.main()
