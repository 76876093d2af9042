// The first line of scripts, as Linux reads it.

#include <gtest/gtest.h>

#include <string>

#include <vellum/unix/script.hpp>

namespace vellum::unix {
namespace {

std::string parsed(const std::string& head) {
  const std::optional<ScriptLine> line = parse_script(head);
  return line ? "[" + std::string(line->interpreter) + "][" + std::string(line->argument) + "]" : "none";
}

TEST(ScriptLine, HasAnInterpreterAndAtMostOneArgument) {
  EXPECT_EQ(parsed("#!/bin/sh\necho"), "[/bin/sh][]");
  EXPECT_EQ(parsed("#! /bin/sh -e\n"), "[/bin/sh][-e]");
  EXPECT_EQ(parsed("#!\t/usr/bin/env  a b  c \t\nx"), "[/usr/bin/env][a b  c]");
  EXPECT_EQ(parsed("#!/bin/sh   \n"), "[/bin/sh][]");
}

TEST(ScriptLine, MayEndWithTheFile) {
  EXPECT_EQ(parsed("#!/bin/sh"), "[/bin/sh][]");
  EXPECT_EQ(parsed("#!/bin/sh -x"), "[/bin/sh][-x]");
}

TEST(ScriptLine, IsNotThereWithoutAnInterpreter) {
  EXPECT_EQ(parsed(""), "none");
  EXPECT_EQ(parsed("#"), "none");
  EXPECT_EQ(parsed("/bin/sh"), "none");
  EXPECT_EQ(parsed("#!\n/bin/sh"), "none");
  EXPECT_EQ(parsed("#!  \t \n"), "none");
}

TEST(ScriptLine, WhoseInterpreterIsCutOffIsRefused) {
  const std::string name(kHeadSize, 'x');
  EXPECT_EQ(parsed(("#!/" + name).substr(0, kHeadSize)), "none");
  // An argument may be cut off.
  const std::string cut = ("#!/bin/sh " + name).substr(0, kHeadSize);
  EXPECT_EQ(parsed(cut), "[/bin/sh][" + cut.substr(10) + "]");
}

TEST(ScriptLine, EndsAtAZeroByte) { EXPECT_EQ(parsed(std::string("#!/bin/sh\0rest\n", 15)), "[/bin/sh][]"); }

}  // namespace
}  // namespace vellum::unix
