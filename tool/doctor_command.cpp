// `vellum doctor`: what a run needs and what was found of it, what will be used, and how to mend what is missing.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "print.hpp"
#include "run/descriptor.hpp"
#include "run/engine.hpp"
#include "run/kernel_image.hpp"
#include "run/virtual_machine.hpp"

namespace vellum::tool {

namespace {

namespace fs = std::filesystem;

// `note`: a run works, but not as well as it could.
enum class State : std::uint8_t { good, note, missing };

struct Finding {
  std::string subject;
  State state;
  std::string found;
  std::string remedy;  // empty where there is nothing to mend
};

const char* word_of(State state) {
  switch (state) {
    case State::good:
      return "ok";
    case State::note:
      return "note";
    case State::missing:
      return "missing";
  }
  return "";
}

// The first line that a program prints; nothing if it cannot be started.
std::optional<std::string> first_line_of(const std::string& command) {
  const std::unique_ptr<FILE, decltype(&pclose)> pipe(popen((command + " 2>/dev/null").c_str(), "r"), &pclose);
  char line[256];
  if (!pipe || std::fgets(line, sizeof line, pipe.get()) == nullptr) {
    return std::nullopt;
  }
  std::string text = line;
  text.erase(text.find_last_not_of('\n') + 1);
  return text;
}

Finding find_qemu() {
  const auto version = first_line_of(fmt::format("'{}' --version", qemu_program()));
  return version.has_value() ? Finding{"QEMU", State::good, *version, ""}
                             : Finding{"QEMU", State::missing, fmt::format("{} cannot be started", qemu_program()),
                                       "apt-get install qemu-system-x86, or name one in VELLUM_QEMU"};
}

Finding find_kernel_image() {
  const std::string path = kernel_image("");
  if (access(path.c_str(), R_OK) == 0) {
    return {"kernel image", State::good, path, ""};
  }
  // In the folders of a build the front door builds it before it is needed.
  if (std::getenv("VELLUM_KERNEL") == nullptr && path.contains("/build/")) {
    return {"kernel image", State::note, fmt::format("{} is not built yet", path),
            "./vellum kernel builds it, and so does the first ./vellum run"};
  }
  return {"kernel image", State::missing, fmt::format("{} is not there", path), "name one in VELLUM_KERNEL"};
}

Finding find_engine(bool can_probe) {
  if (access("/dev/kvm", F_OK) != 0) {
    return {"engine", State::good, "tcg (emulation): there is no /dev/kvm", ""};
  }
  if (!Descriptor(open("/dev/kvm", O_RDWR | O_CLOEXEC)).is_open()) {
    return {"engine", State::note, "tcg (emulation): /dev/kvm may not be opened",
            "usermod -aG kvm YOU, and log in again"};
  }
  if (!can_probe) {
    return {"engine", State::note, "not tried: QEMU or the kernel image is missing", ""};
  }
  const Engine engine = choose_engine(Engine::automatic, kernel_image(""));
  const std::string reason = engine_reason();
  return {"engine", State::good,
          fmt::format("{}{}{}", engine == Engine::kvm ? "kvm" : "tcg (emulation)", reason.empty() ? "" : ": ", reason),
          ""};
}

Finding find_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t kilobytes = 0;
    if (words >> name >> kilobytes && name == "MemAvailable:") {
      constexpr std::uint64_t kUsual = std::uint64_t{512} << 10;
      const std::string found = fmt::format("{} available", size_text(ByteCount(kilobytes << 10)));
      return kilobytes >= kUsual ? Finding{"memory", State::good, found, ""}
                                 : Finding{"memory", State::note, found, "give runs less: --memory 64M"};
    }
  }
  return {"memory", State::note, "unknown: /proc/meminfo cannot be read", ""};
}

Finding find_processors() {
  return {"processors", State::good, fmt::format("{}", std::thread::hardware_concurrency()), ""};
}

Finding find_static_shell() {
  const auto version = first_line_of("busybox");
  return version.has_value() ? Finding{"busybox", State::good, *version, ""}
                             : Finding{"busybox", State::note, "not found; the README's examples use it",
                                       "apt-get install busybox-static"};
}

std::vector<Finding> examine() {
  std::vector<Finding> findings = {find_qemu(), find_kernel_image()};
  const bool can_run = findings[0].state == State::good && findings[1].state == State::good;
  findings.push_back(find_engine(can_run));
  findings.push_back(find_memory());
  findings.push_back(find_processors());
  findings.push_back(find_static_shell());
  return findings;
}

void print_findings(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    fmt::print("{:8} {:13} {}\n", word_of(finding.state), finding.subject, finding.found);
    if (!finding.remedy.empty()) {
      fmt::print("{:22} to mend: {}\n", "", finding.remedy);
    }
  }
}

void print_json(const std::vector<Finding>& findings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"subject", finding.subject},
                    {"state", word_of(finding.state)},
                    {"found", finding.found},
                    {"remedy", finding.remedy}});
  }
  fmt::print("{}\n", nlohmann::ordered_json({{"schema", "vellum.doctor/1"}, {"findings", list}})
                         .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace

void add_doctor_command(CLI::App& app, ExitStatus& status) {
  CLI::App* const command =
      app.add_subcommand("doctor", "Say what a run needs, what was found, and how to mend the rest");
  const auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "As JSON");
  command->footer(
      "Examples:\n"
      "  vellum doctor\n"
      "  vellum doctor --json\n"
      "\n"
      "Exit status: 0 programs can be run, 1 something that they need is missing.");
  command->callback([as_json, &status] {
    const std::vector<Finding> findings = examine();
    *as_json ? print_json(findings) : print_findings(findings);
    const bool is_missing =
        std::ranges::any_of(findings, [](const Finding& one) { return one.state == State::missing; });
    status = is_missing ? ExitStatus::no_answer : ExitStatus::ok;
  });
}

}  // namespace vellum::tool
