#include <vellum/run/start_request.hpp>

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace vellum::run {
namespace {

TEST(StartRequest, IsRead) {
  constexpr char kTexts[] =
      "argument=/bin/echo\0argument=a=b\0argument=\0environment=PATH=/bin\0directory=/tmp\0stdin=terminal\0"
      "stdout=pipe\0time=1700000000000000000\0uid=1000";
  const StartRequest request = StartRequest::parse(kTexts).value();
  std::vector<std::string> arguments;
  request.for_each("argument", [&](std::string_view value) { arguments.emplace_back(value); });
  EXPECT_EQ(arguments, (std::vector<std::string>{"/bin/echo", "a=b", ""}));
  EXPECT_EQ(*request.find("environment"), "PATH=/bin");
  EXPECT_EQ(*request.find("directory"), "/tmp");
  EXPECT_FALSE(request.find("user"));
  EXPECT_EQ(request.stream(0), StreamKind::terminal);
  EXPECT_EQ(request.stream(1), StreamKind::pipe);
  EXPECT_EQ(request.stream(2), StreamKind::null);
  EXPECT_EQ(request.number("time", 0), 1'700'000'000'000'000'000U);
  EXPECT_EQ(request.number("gid", 7), 7U);
}

TEST(StartRequest, ThatMakesNoSenseIsRefused) {
  const std::string bad[] = {
      "",
      "argument=x",                              // no zero at its end
      std::string("environment=A=B\0", 16),      // no program
      std::string("argument=x\0nothing\0", 19),  // no value
      std::string("argument=x\0uid=-1\0", 18),
      std::string("argument=x\0rows=\0", 17),
      std::string("argument=x\0time=99999999999999999999\0", 37),
      std::string("argument=x\0stdin=tty\0", 21),
  };
  for (const std::string& texts : bad) {
    EXPECT_EQ(StartRequest::parse(texts).error(), Errno::invalid) << texts;
  }
}

}  // namespace
}  // namespace vellum::run
