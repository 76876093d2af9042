// The control socket of a run: where `vellum walk` and the like ask. A file in a folder that only its user can look
// into, named by the process's number, and `--name` where there is one: 4711 or 4711.NAME.
//
// Whoever connects sends questions and gets answers, each a line of JSON:
//   {"ask": "status" | "continue" | "processes" | "walk" | "maps" | "layout", "process": N, "address": "0x..."}
//   {"answer": ...} or {"error": "..."}
// Of the last three, `process` may be missing: then it is the program that the run was started with; 0 is the kernel.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include <poll.h>
#include <nlohmann/json.hpp>

#include "run/descriptor.hpp"

namespace vellum::tool {

// $XDG_RUNTIME_DIR/vellum or, without that, vellum-UID in the folder for temporary files; made if need be. The error is
// why there is none that only this user can look into.
[[nodiscard]] std::expected<std::string, std::string> control_folder();

struct ControlName {
  std::uint64_t process = 0;
  std::string name;
};
[[nodiscard]] std::string control_file(const ControlName& name);
// Nothing for a file that is no run's.
[[nodiscard]] std::optional<ControlName> parse_control_file(std::string_view file);

class ControlSocket {
 public:
  using ClientId = std::uint64_t;
  using Handler = std::function<void(ClientId, const nlohmann::ordered_json&)>;

  // The error says what failed.
  [[nodiscard]] static std::expected<std::unique_ptr<ControlSocket>, std::string> create(const std::string& name);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  // Who is called with each question.
  void set_handler(Handler handler) { handler_ = std::move(handler); }
  // What to poll for, at the end of `sources`.
  void add_sources(std::vector<pollfd>& sources) const;
  // After a poll: takes what came and sends what can be sent.
  void handle();
  // One line. To a client that is gone, nothing.
  void answer(ClientId client, const nlohmann::ordered_json& answer);

 private:
  struct Client {
    ClientId id;
    Descriptor socket;
    std::string received;
    std::string to_send;
  };

  ControlSocket(std::string path, Descriptor socket) : path_(std::move(path)), socket_(std::move(socket)) {}
  [[nodiscard]] bool receive(Client& client);
  [[nodiscard]] static bool send_some(Client& client);

  const std::string path_;
  Descriptor socket_;
  Handler handler_;
  std::list<Client> clients_;
  ClientId last_ = 0;
};

}  // namespace vellum::tool
