#include "run/report.hpp"

#include <csignal>
#include <fstream>

#include <fmt/core.h>
#include <sys/wait.h>

#include <vellum/layout/text.hpp>

#include "run/fault_record.hpp"

namespace vellum::tool {

namespace {

using Json = nlohmann::ordered_json;

const char* reason_of(const RunRecord& record) {
  switch (record.end.kind) {
    case EndKind::exited:
      break;
    case EndKind::time_limit:
      return "time_limit";
    case EndKind::killed:
      return "interrupted";
    case EndKind::output_refused:
      return "output_refused";
    case EndKind::machine_failed:
      return "vellum_failed";
  }
  if (!WIFSIGNALED(record.end.wait_status)) {
    return "exited";
  }
  const bool was_out_of_memory = WTERMSIG(record.end.wait_status) == SIGKILL && !record.faults.empty() &&
                                 record.faults.back().value("verdict", Json()) == Json(kOutOfMemory);
  return was_out_of_memory ? kOutOfMemory : "signal";
}

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Json make_report(const RunOptions& options, const RunRecord& record, const std::string& engine) {
  Json report = {{"schema", "vellum.report/1"},      {"program", options.program}, {"user", name_of(options.user)},
                 {"memory", options.memory.value()}, {"cpus", options.cpus},       {"engine", engine}};
  if (options.vmem.has_value()) {
    report["vmem"] = options.vmem->value();
  }
  if (!options.name.empty()) {
    report["name"] = options.name;
  }
  report["status"] = record.end.status;
  Json verdict = {{"reason", reason_of(record)}};
  if (record.end.kind == EndKind::exited && WIFSIGNALED(record.end.wait_status)) {
    verdict["signal"] = WTERMSIG(record.end.wait_status);
  }
  if (!record.end.reason.empty()) {
    verdict["text"] = record.end.reason;
  }
  report["verdict"] = verdict;
  report["time"] = {{"wall_seconds", seconds(record.ended - record.started)}};
  if (record.first_output.has_value()) {
    report["time"]["first_output_seconds"] = seconds(*record.first_output - record.started);
  }
  report["fatal_faults"] = record.faults;
  if (!record.refusals.empty()) {
    report["refusals"] = record.refusals;
  }
  report["log"] = record.log;
  if (record.counters.is_object()) {
    for (const auto& [name, value] : record.counters.items()) {
      if (!report.contains(name)) {
        report[name] = value;
      }
    }
  }
  return report;
}

bool write_report(const std::string& path, const Json& report) {
  std::ofstream file(path);
  // A program's bytes need not be text.
  file << report.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  file.close();
  if (file.fail()) {
    fmt::print(stderr, "vellum: {}: the report could not be written\n", path);
    return false;
  }
  return true;
}

}  // namespace vellum::tool
