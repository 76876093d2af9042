#include "run/control.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/core.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace vellum::tool {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostQuestion = 4096;
constexpr std::size_t kMostClients = 64;

std::string folder_for_temporary_files() {
  const char* const folder = std::getenv("TMPDIR");
  return folder != nullptr && folder[0] == '/' ? folder : "/tmp";
}

}  // namespace

std::expected<std::string, std::string> control_folder() {
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  const std::string folder = runtime != nullptr && runtime[0] == '/'
                                 ? fmt::format("{}/vellum", runtime)
                                 : fmt::format("{}/vellum-{}", folder_for_temporary_files(), getuid());
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return std::unexpected(fmt::format("{}: {}", folder, std::strerror(errno)));
  }
  struct stat status;
  if (lstat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != getuid() ||
      (status.st_mode & 077) != 0) {
    return std::unexpected(fmt::format("{} is no folder that only its user may look into", folder));
  }
  return folder;
}

std::string control_file(const ControlName& name) {
  return name.name.empty() ? std::to_string(name.process) : fmt::format("{}.{}", name.process, name.name);
}

std::optional<ControlName> parse_control_file(std::string_view file) {
  ControlName name;
  const std::size_t digits = std::min(file.find('.'), file.size());
  if (digits == 0 || digits > 10 || file.substr(0, digits).find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  name.process = std::strtoull(std::string(file.substr(0, digits)).c_str(), nullptr, 10);
  name.name = digits == file.size() ? "" : file.substr(digits + 1);
  return name;
}

std::expected<std::unique_ptr<ControlSocket>, std::string> ControlSocket::create(const std::string& name) {
  const auto folder = control_folder();
  if (!folder.has_value()) {
    return std::unexpected(folder.error());
  }
  const std::string path = fmt::format("{}/{}", *folder, control_file({static_cast<std::uint64_t>(getpid()), name}));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return std::unexpected(fmt::format("{}: the path is too long for a socket", path));
  }
  path.copy(address.sun_path, path.size());
  unlink(path.c_str());  // of a dead process with our number
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open() || bind(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(socket.number(), 16) != 0) {
    return std::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  }
  return std::unique_ptr<ControlSocket>(new ControlSocket(path, std::move(socket)));
}

ControlSocket::~ControlSocket() { unlink(path_.c_str()); }

void ControlSocket::add_sources(std::vector<pollfd>& sources) const {
  sources.push_back({socket_.number(), POLLIN, 0});
  for (const Client& client : clients_) {
    const int events = POLLIN | (client.to_send.empty() ? 0 : POLLOUT);
    sources.push_back({client.socket.number(), static_cast<short>(events), 0});
  }
}

void ControlSocket::handle() {
  for (int number; (number = accept4(socket_.number(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
    Descriptor socket(number);
    if (clients_.size() < kMostClients) {
      clients_.push_back({.id = ++last_, .socket = std::move(socket), .received = {}, .to_send = {}});
    }
  }
  for (auto client = clients_.begin(); client != clients_.end();) {
    const bool stays = receive(*client) && send_some(*client);
    client = stays ? std::next(client) : clients_.erase(client);
  }
}

// False at the end, or where what came is no question.
bool ControlSocket::receive(Client& client) {
  char bytes[kMostQuestion];
  const ssize_t count = recv(client.socket.number(), bytes, sizeof(bytes), 0);
  if (count <= 0) {
    return count < 0 && (errno == EAGAIN || errno == EINTR);
  }
  client.received.append(bytes, static_cast<std::size_t>(count));
  for (std::size_t end; (end = client.received.find('\n')) != std::string::npos;) {
    const Json question = Json::parse(client.received.substr(0, end), nullptr, false);
    client.received.erase(0, end + 1);
    if (!question.is_object()) {
      return false;
    }
    handler_(client.id, question);
  }
  return client.received.size() < kMostQuestion;
}

bool ControlSocket::send_some(Client& client) {
  while (!client.to_send.empty()) {
    const ssize_t count = send(client.socket.number(), client.to_send.data(), client.to_send.size(), MSG_NOSIGNAL);
    if (count < 0) {
      return errno == EAGAIN || errno == EINTR;
    }
    client.to_send.erase(0, static_cast<std::size_t>(count));
  }
  return true;
}

void ControlSocket::answer(ClientId id, const Json& answer) {
  for (Client& client : clients_) {
    if (client.id == id) {
      client.to_send += answer.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
      // What does not go now goes after the next poll, and a client that is gone is found there.
      static_cast<void>(send_some(client));
    }
  }
}

}  // namespace vellum::tool
