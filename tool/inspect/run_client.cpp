#include "inspect/run_client.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace vellum::tool {

namespace {

constexpr int kPatience = 15'000;  // milliseconds

Descriptor connect_to(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return {};
  }
  path.copy(address.sun_path, path.size());
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == ECONNREFUSED) {
      unlink(path.c_str());  // a run that was killed left it
    }
    return {};
  }
  return socket;
}

std::string name_of(const ControlName& name) {
  return name.name.empty() ? std::to_string(name.process) : fmt::format("{} ({})", name.process, name.name);
}

bool is_named(const ControlName& name, const std::string& wanted) {
  return wanted == name.name || wanted == std::to_string(name.process);
}

std::string list_of(const std::vector<RunClient>& runs) {
  std::vector<std::string> names;
  for (const RunClient& run : runs) {
    names.push_back(name_of(run.name()));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::vector<RunClient> RunClient::all() {
  std::vector<RunClient> runs;
  const auto folder = control_folder();
  if (!folder.has_value()) {
    return runs;
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(*folder, error)) {
    if (const auto name = parse_control_file(entry.path().filename().string())) {
      if (Descriptor socket = connect_to(entry.path()); socket.is_open()) {
        runs.push_back(RunClient(*name, std::move(socket)));
      }
    }
  }
  std::ranges::sort(runs, {}, [](const RunClient& run) { return run.name_.process; });
  return runs;
}

std::expected<RunClient, std::string> RunClient::find(const std::string& wanted) {
  std::vector<RunClient> runs = all();
  const std::string there_are =
      runs.empty() ? "nothing runs; start a program with `vellum run`" : fmt::format("there are {}", list_of(runs));
  if (!wanted.empty()) {
    std::erase_if(runs, [&wanted](const RunClient& run) { return !is_named(run.name_, wanted); });
    if (runs.empty()) {
      return std::unexpected(fmt::format("there is no run '{}', or it has ended: {}", wanted, there_are));
    }
  }
  if (runs.size() != 1) {
    return std::unexpected(runs.empty() ? there_are : fmt::format("say which run with --run: {}", there_are));
  }
  return std::move(runs.front());
}

std::expected<std::string, std::string> RunClient::receive_line() {
  std::size_t end = 0;
  while ((end = received_.find('\n')) == std::string::npos) {
    pollfd source = {socket_.number(), POLLIN, 0};
    if (poll(&source, 1, kPatience) == 0) {
      return std::unexpected(
          fmt::format("run {} has not answered for {} s: it is stopped, or its kernel has not started or is stuck",
                      name_of(name_), kPatience / 1000));
    }
    char bytes[65536];
    const ssize_t count = recv(socket_.number(), bytes, sizeof(bytes), 0);
    if (count == 0 || (count < 0 && errno != EINTR)) {
      return std::unexpected(fmt::format("run {} ended before it answered", name_of(name_)));
    }
    received_.append(bytes, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  }
  std::string line = received_.substr(0, end);
  received_.erase(0, end + 1);
  return line;
}

std::expected<Json, std::string> RunClient::receive_answer() {
  const auto received = receive_line();
  if (!received.has_value()) {
    return std::unexpected(received.error());
  }
  const Json answer = Json::parse(*received, nullptr, false);
  if (!answer.is_object() || (!answer.contains("answer") && !answer.contains("error"))) {
    return std::unexpected(fmt::format("what run {} answers is no answer", name_of(name_)));
  }
  if (answer.contains("error")) {
    return std::unexpected(answer.value("error", std::string()));
  }
  return answer.at("answer");
}

std::vector<std::expected<Json, std::string>> RunClient::ask_all(const std::vector<Json>& questions) {
  std::vector<std::expected<Json, std::string>> answers;
  std::string lines;
  for (const Json& question : questions) {
    lines += question.dump() + "\n";
  }
  const bool is_sent =
      send(socket_.number(), lines.data(), lines.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(lines.size());
  for (std::size_t i = 0; i < questions.size(); ++i) {
    answers.push_back(is_sent ? receive_answer() : std::unexpected(fmt::format("run {} has ended", name_of(name_))));
  }
  return answers;
}

std::expected<Json, std::string> RunClient::ask(const Json& question) { return std::move(ask_all({question}).front()); }

Json RunSelection::question(const char* ask) const {
  Json question = {{"ask", ask}};
  if (process.has_value()) {
    question["process"] = *process;
  }
  return question;
}

}  // namespace vellum::tool
