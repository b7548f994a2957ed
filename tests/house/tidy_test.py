#!/usr/bin/env python3
"""The rules of scripts/tidy, each on the smallest file that breaks it."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests" / "support"), str(REPOSITORY / "scripts" / "lib")]

import report  # noqa: E402
from tidy_layers import ROOMS  # noqa: E402
from tidy_rules import RULES  # noqa: E402
from tidy_source import SourceFile, cxx_functions, shell_functions  # noqa: E402

PROGRAM = REPOSITORY / "scripts" / "tidy"
HEADER = "// A header.\n#pragma once\n"


def findings(files):
    """What the rules say of a tree of {path: text}."""
    found = []
    for path, text in files.items():
        file = SourceFile(path, text)
        for rule in RULES:
            if rule.applies(file):
                found += [f"{path}:{line}: {message} [{rule.name}]"
                          for line, message in rule.check(file)]
    return "\n".join(found) or "no findings"


def including(header):
    return HEADER + f"#include {header}\n"


class Layers(unittest.TestCase):
    def refuses(self, path, header, rule="layers"):
        found = findings({path: including(header)})
        self.assertIn(f"{path}:3: ", found)
        self.assertIn(f"[{rule}]", found)
        self.assertIn(header.strip('<>"'), found)

    def allows(self, path, header):
        self.assertIn("no findings", findings({path: including(header)}))

    def test_kernel_floor_may_not_see_userspace(self):
        self.refuses("ktls/core/a.h", '"userspace/bridge/plan.h"')

    def test_angle_brackets_do_not_hide_an_upward_include(self):
        self.refuses("ktls/core/a.h", "<userspace/bridge/plan.h>")

    def test_nothing_may_see_tools(self):
        self.refuses("ktls/core/a.h", '"tools/common/log.h"')
        self.refuses("userspace/api/a.h", '"tools/common/log.h"')
        self.allows("tools/http/a.h", '"tools/common/log.h"')

    def test_tests_may_see_everything(self):
        self.allows("tests/unit/a.h", '"tools/common/log.h"')
        self.allows("tests/unit/a.h", '"userspace/suite/version.h"')

    def test_nothing_may_see_tests(self):
        self.refuses("userspace/io/a.h", '"tests/support/fake_kernel.h"')

    def test_base_does_not_see_core_nor_core_observe(self):
        self.refuses("ktls/base/a.h", '"ktls/core/socket.h"')
        self.refuses("ktls/core/a.h", '"ktls/observe/nic.h"')

    def test_rooms_on_one_level_do_not_see_each_other(self):
        for one in ("handshake", "io", "broker"):
            for other in {"handshake", "io", "broker"} - {one}:
                self.refuses(f"userspace/{one}/a.h", f'"userspace/{other}/b.h"')

    def test_each_room_sees_only_what_is_below(self):
        order = ["suite", "crypto", "schedule", "record", "io", "bridge", "api"]
        for low, name in enumerate(order):
            for high, other in enumerate(order):
                check = self.allows if high <= low else self.refuses
                check(f"userspace/{name}/a.h", f'"userspace/{other}/b.h"')

    def test_broker_sees_only_the_kernel_floor(self):
        self.allows("userspace/broker/a.h", '"ktls/core/socket.h"')
        self.refuses("userspace/broker/a.h", '"userspace/suite/version.h"')

    def test_subfolders_belong_to_their_room(self):
        self.allows("userspace/handshake/openssl/a.h", '"userspace/handshake/negotiated.h"')
        self.refuses("userspace/handshake/openssl/a.h", '"userspace/io/loop.h"')

    def test_unknown_rooms_are_named(self):
        self.assertIn("[layers]", findings({"userspace/attic/a.h": HEADER}))
        self.refuses("userspace/io/a.h", '"userspace/attic/b.h"')

    def test_short_paths_are_refused(self):
        self.refuses("ktls/core/a.h", '"socket.h"', rule="full-path")
        self.refuses("ktls/core/a.h", '"../../userspace/io/loop.h"', rule="full-path")

    def test_an_include_in_a_comment_is_none(self):
        self.assertIn("no findings", findings(
            {"ktls/core/a.h": HEADER + '// #include "tools/a.h"\n/*\n#include "tools/b.h"\n*/\n'}))

    def test_the_table_has_no_cycle(self):
        for room, below in ROOMS.items():
            for other in below:
                self.assertNotIn(room, ROOMS[other], f"{room} and {other}")

    def test_libraries_stay_in_their_rooms(self):
        for header, outside, inside in (
                ("<openssl/evp.h>", "userspace/record", "userspace/crypto"),
                ("<openssl/ssl.h>", "tools/preload", "userspace/handshake/openssl"),
                ("<intel-ipsec-mb.h>", "userspace/handshake", "userspace/crypto"),
                ("<linux/tls.h>", "userspace/io", "ktls/core"),
                ("<netlink/socket.h>", "ktls/core", "ktls/observe"),
                ("<liburing.h>", "userspace/bridge", "userspace/io"),
                ("<sys/epoll.h>", "tools/http", "userspace/io"),
                ("<spdlog/spdlog.h>", "userspace/bridge", "tools/common"),
                ("<CLI/CLI.hpp>", "userspace/api", "tools/common"),
                ("<toml++/toml.h>", "userspace/api", "tools/common"),
                ("<nlohmann/json.hpp>", "userspace/api", "tests/unit")):
            self.refuses(f"{outside}/a.h", header, rule="rooms")
            self.allows(f"{inside}/a.h", header)

    def test_expected_is_named_in_one_file(self):
        self.refuses("ktls/base/a.h", "<tl/expected.hpp>", rule="rooms")
        self.allows("ktls/base/result.h", "<tl/expected.hpp>")


class Shape(unittest.TestCase):
    def finds(self, rule, text, path="userspace/io/a.cpp", line=None):
        found = findings({path: text})
        self.assertIn(f"[{rule}]", found)
        if line:
            self.assertIn(f"{path}:{line}: ", found)

    def accepts(self, text, path="userspace/io/a.cpp"):
        self.assertIn("no findings", findings({path: text}))

    def test_conditionals_only_in_two_rooms(self):
        text = "// A file.\n#ifdef X\n#endif\n"
        self.finds("conditional", text, path="userspace/record/a.cpp", line=2)
        self.accepts(text, path="userspace/io/a.cpp")
        self.accepts(text, path="ktls/core/a.cpp")
        self.accepts("// A file.\n#ifdef __cplusplus\n#endif\n", path="userspace/record/a.cpp")

    def test_a_header_begins_with_a_comment(self):
        self.finds("first-line", "\n// Late.\n", path="userspace/io/a.h")
        self.finds("first-line", "", path="userspace/io/a.h")

    def test_a_header_has_pragma_once(self):
        self.finds("pragma-once", "// A header.\n", path="userspace/io/a.h")

    def test_widths_and_lengths_have_limits(self):
        self.accepts("//" + "x" * 98 + "\n")
        self.finds("columns", "//" + "x" * 99 + "\n")
        self.accepts("// A file.\n" * 500)
        self.finds("file-length", "// A file.\n" * 501)
        self.accepts("// A file.\n" * 501, path="tests/unit/a.cpp")
        self.finds("file-length", "// A file.\n" * 801, path="tests/unit/a.cpp")

    def test_functions_have_at_most_70_lines(self):
        body = "// A file.\nvoid f() {\n" + "  g();\n" * 68 + "}\n"
        self.accepts(body)
        self.finds("function-length", body.replace("  g();\n", "  g();\n  h();\n", 1), line=2)

    def test_space_at_line_ends_and_leftovers_are_found(self):
        self.finds("trailing-space", "// A file. \n", line=1)
        self.finds("leftover", "// TO" "DO: later\n", line=1)
        self.accepts('// A file.\nchar name[] = "/tmp/aX' 'XXXXX";\n')

    def test_file_names_are_snake_case_and_say_something(self):
        self.finds("file-name", "// A file.\n", path="userspace/io/RingLoop.cpp")
        self.finds("file-name", "// A file.\n", path="userspace/io/buffer_utils.cpp")

    def test_vague_functions_are_refused_where_declared_not_where_called(self):
        for declaration in ("int get_size() const;", "void Loop::do_read(int fd) {}",
                            "Result<void> handle_event(int e);", "static int* process_all(int);"):
            self.finds("function-name", f"// A file.\n{declaration}\n", line=2)
        for call in ("auto s = io_uring_get_sqe(&r);", "int r = SSL_do_handshake(s);",
                     "int r = process_vm_readv(a);", "auto d = p.get_deleter();",
                     "Task get_return_object();",
                     "auto t = std::this_thread::get_id();", "return get_thing(a);"):
            self.accepts(f"// A file.\nint f() {{\n  {call}\n}}\n")

    def test_vague_types_are_refused(self):
        self.finds("type-name", "// A file.\nclass ConnectionManager {};\n", line=2)
        self.finds("type-name", "// A file.\nstruct [[nodiscard]] IoHelper;\n", line=2)
        self.accepts('// A file: no manager.\nclass Loop {};  // a helper\n')

    def test_memset_is_refused_outside_tests(self):
        text = "// A file.\nvoid f() { std::memset(key, 0, 32); }\n"
        self.finds("memset", text, line=2)
        self.accepts(text, path="tests/unit/a.cpp")

    def test_nothing_is_awaited_within_a_conditional_expression(self):
        self.finds("conditional-await", "// A file.\nauto a = x ? co_await b() : c;\n", line=2)
        self.finds("conditional-await", "// A file.\nauto a = x ? b\n : co_await c();\n", line=3)
        self.accepts("// A file.\nauto a = co_await (x ? b() : c());\n")

    def test_libraries_do_not_print(self):
        for call in ('printf("x");', 'std::cout << 1;', 'fprintf(stderr, "x");', 'perror("x");'):
            text = f"// A file.\nvoid f() {{ {call} }}\n"
            self.finds("printing", text, line=2)
            self.accepts(text, path="tools/http/a.cpp")
        self.accepts("// A file.\nvoid f() { snprintf(b, 3, x); }\n")

    def test_every_finding_carries_its_rule(self):
        names = [rule.name for rule in RULES]
        self.assertEqual(len(names), len(set(names)))


class Program(unittest.TestCase):
    def run_on(self, text, *arguments):
        with tempfile.TemporaryDirectory() as root:
            Path(root, "ktls", "core").mkdir(parents=True)
            Path(root, "ktls", "core", "a.h").write_text(text)
            arguments = [argument.replace("ROOT", root) for argument in arguments]
            done = subprocess.run([PROGRAM, "--root", root, *arguments],
                                  capture_output=True, text=True, check=False)
            return done, Path(root, "stamp").exists()

    def test_a_finding_names_file_line_and_rule_and_fails(self):
        done, stamped = self.run_on(including('"tools/a.h"'), "--stamp", "ROOT/stamp")
        self.assertEqual(done.returncode, 1)
        self.assertIn('ktls/core/a.h:3: ktls/core may not include "tools/a.h"', done.stdout)
        self.assertIn("[layers]", done.stdout)
        self.assertFalse(stamped)

    def test_a_tidy_tree_gives_one_line_or_a_stamp(self):
        done, _ = self.run_on(HEADER)
        self.assertEqual((done.returncode, done.stdout.count("\n")), (0, 1))
        done, stamped = self.run_on(HEADER, "--stamp", "ROOT/stamp")
        self.assertEqual((done.returncode, done.stdout, stamped), (0, "", True))

    def test_an_empty_tree_is_an_error(self):
        with tempfile.TemporaryDirectory() as root:
            done = subprocess.run([PROGRAM, "--root", root], capture_output=True, check=False)
        self.assertNotEqual(done.returncode, 0)

    def test_the_repository_is_tidy(self):
        done = subprocess.run([PROGRAM], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)


class Functions(unittest.TestCase):
    def spans(self, text):
        return list(cxx_functions(text))

    def test_scopes_and_tables_are_no_functions(self):
        self.assertEqual(self.spans("namespace a {\nstruct alignas(8) S {\n  int x = 0;\n};\n"
                                    "constexpr Row kRows[] = {\n  {1, f(2)},\n};\n}\n"), [])

    def test_methods_are_found_inside_classes(self):
        self.assertEqual(self.spans("class C {\n public:\n  int f() const {\n    return 1;\n  }\n"
                                    "  void g();\n};\n"), [(3, 5)])

    def test_a_member_initialiser_is_part_of_its_constructor(self):
        self.assertEqual(self.spans("C::C(int a)\n    : a_{a},\n      b_(2) {\n  f();\n}\n"
                                    "void g() {\n}\n"), [(1, 5), (6, 7)])

    def test_a_lambda_is_part_of_its_function(self):
        self.assertEqual(self.spans("void f() {\n  g([] {\n    return 1;\n  });\n}\n"), [(1, 5)])

    def test_the_head_counts(self):
        self.assertEqual(self.spans("template <typename T>\nvoid f(T a,\n       T b) {\n}\n"),
                         [(1, 4)])

    def test_macros_are_left_out(self):
        self.assertEqual(self.spans("#define M(a) \\\n  if (a) {\\\n  }\nvoid f() {\n}\n"),
                         [(4, 5)])

    def test_shell_functions_end_with_their_brace(self):
        self.assertEqual(shell_functions(["f() {", "  g", "}", "h() {", "}"]), [(1, 3), (4, 5)])


if __name__ == "__main__":
    report.main("tidy")
