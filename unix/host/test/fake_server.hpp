// A 9P2000.L server in the same process: a small tree of files, answered as QEMU answers. Written from the protocol
// alone, without the code that it tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <vellum/host/client.hpp>

namespace vellum::host {

struct FakeFile {
  std::uint32_t mode = 0100644;
  std::string content;                        // of a file; the target of a symlink
  std::map<std::string, FakeFile*> children;  // of a directory
  std::uint64_t path = 0;
  std::uint32_t open_error = 0;
};

class FakeServer final : public Transport {
 public:
  FakeServer() { top = add_node(0040755); }

  FakeFile* add(FakeFile* directory, const std::string& name, std::uint32_t mode, std::string content = {}) {
    FakeFile* const file = add_node(mode);
    file->content = std::move(content);
    directory->children[name] = file;
    return file;
  }

  Result<std::size_t> exchange(std::span<const std::byte> request, std::span<std::byte> head,
                               std::span<std::byte> body) override {
    ++exchanges;
    if (unreachable) {
      return Errno::io_error;
    }
    std::string in(reinterpret_cast<const char*>(request.data()), request.size());
    std::string out = answer(in);
    if (tamper) {
      tamper(out);
    }
    const std::size_t size = std::min(out.size(), head.size() + body.size());
    const std::size_t first = std::min(size, head.size());
    std::memcpy(head.data(), out.data(), first);
    if (size > first) {
      std::memcpy(body.data(), out.data() + first, size - first);
    }
    return size;
  }

  FakeFile* top = nullptr;
  std::uint32_t message_limit = 65536;
  std::string version = "9P2000.L";
  unsigned exchanges = 0;
  unsigned reads = 0;
  bool unreachable = false;
  void (*tamper)(std::string& reply) = nullptr;
  // Directory offsets are these times the entry's number: any numbers, as file systems have.
  std::uint64_t offset_scale = 1;

  struct Fid {
    FakeFile* file = nullptr;
    bool open = false;
  };
  std::map<std::uint32_t, Fid> fids;

 private:
  FakeFile* add_node(std::uint32_t mode) {
    nodes_.push_back(std::make_unique<FakeFile>());
    nodes_.back()->mode = mode;
    nodes_.back()->path = nodes_.size();
    return nodes_.back().get();
  }

  static std::uint64_t take(const std::string& in, std::size_t& at, unsigned bytes) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(in.at(at + i))} << (8 * i);
    }
    at += bytes;
    return value;
  }
  static std::string take_text(const std::string& in, std::size_t& at) {
    const std::size_t size = take(in, at, 2);
    std::string text = in.substr(at, size);
    at += size;
    return text;
  }
  static void put(std::string& out, std::uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) {
      out += static_cast<char>(value >> (8 * i));
    }
  }
  static void put_text(std::string& out, const std::string& text) {
    put(out, text.size(), 2);
    out += text;
  }
  static void put_qid(std::string& out, const FakeFile& file) {
    put(out, (file.mode & 0170000) == 0040000 ? 0x80 : (file.mode & 0170000) == 0120000 ? 2 : 0, 1);
    put(out, 7, 4);
    put(out, file.path, 8);
  }
  static std::string error(std::uint32_t number) {
    std::string body;
    put(body, number, 4);
    return body;
  }

  std::string answer(const std::string& in) {
    std::size_t at = 0;
    const std::uint64_t size = take(in, at, 4);
    const auto type = static_cast<unsigned>(take(in, at, 1));
    const std::uint64_t tag = take(in, at, 2);
    std::uint32_t failure = size == in.size() ? 0 : 22;
    std::string body = failure == 0 ? serve(type, in, at, failure) : "";
    std::string out;
    if (failure != 0) {
      body = error(failure);
    }
    put(out, 7 + body.size(), 4);
    put(out, failure != 0 ? 7 : type + 1, 1);
    put(out, tag, 2);
    return out + body;
  }

  std::string serve(unsigned type, const std::string& in, std::size_t at, std::uint32_t& failure) {
    std::string out;
    const auto first = static_cast<std::uint32_t>(take(in, at, 4));
    switch (type) {
      case 100:
        put(out, std::min(first, message_limit), 4);
        put_text(out, version);
        return out;
      case 104:
        fids[first] = {.file = top};
        put_qid(out, *top);
        return out;
      default:
        break;
    }
    if (!fids.contains(first)) {
      failure = 9;
      return {};
    }
    Fid& fid = fids[first];
    switch (type) {
      case 110: {
        const auto to = static_cast<std::uint32_t>(take(in, at, 4));
        const std::uint64_t names = take(in, at, 2);
        if (fids.contains(to) || fid.open) {
          failure = 22;
          return {};
        }
        FakeFile* file = fid.file;
        put(out, names, 2);
        for (std::uint64_t i = 0; i < names; ++i) {
          const std::string name = take_text(in, at);
          if (!file->children.contains(name)) {
            failure = 2;
            return {};
          }
          file = file->children[name];
          put_qid(out, *file);
        }
        fids[to] = {.file = file};
        return out;
      }
      case 24:
        put(out, take(in, at, 8), 8);
        put_qid(out, *fid.file);
        put(out, fid.file->mode, 4);
        put(out, 1000, 4);
        put(out, 100, 4);
        put(out, 1, 8);
        put(out, 0x103, 8);
        put(out, fid.file->content.size(), 8);
        put(out, 4096, 8);
        put(out, 8, 8);
        for (std::uint64_t i = 1; i <= 8; ++i) {
          put(out, i, 8);
        }
        put(out, 0, 8);
        put(out, 0, 8);
        return out;
      case 12:
        failure = fid.file->open_error;
        fid.open = true;
        put_qid(out, *fid.file);
        put(out, 0, 4);
        return out;
      case 116: {
        ++reads;
        const std::uint64_t offset = take(in, at, 8);
        const std::uint64_t count = take(in, at, 4);
        if (!fid.open) {
          failure = 22;
          return {};
        }
        const std::string data =
            offset < fid.file->content.size() ? fid.file->content.substr(offset, count) : std::string();
        put(out, data.size(), 4);
        return out + data;
      }
      case 40: {
        const std::uint64_t offset = take(in, at, 8);
        const std::uint64_t count = take(in, at, 4);
        if (!fid.open) {
          failure = 22;
          return {};
        }
        std::string data;
        std::uint64_t number = 0;
        std::vector<std::pair<std::string, FakeFile*>> entries = {{".", fid.file}, {"..", top}};
        entries.insert(entries.end(), fid.file->children.begin(), fid.file->children.end());
        for (const auto& [name, file] : entries) {
          if (++number * offset_scale <= offset) {
            continue;
          }
          std::string entry;
          put_qid(entry, *file);
          put(entry, number * offset_scale, 8);
          put(entry, (file->mode & 0170000) >> 12, 1);
          put_text(entry, name);
          if (data.size() + entry.size() > count) {
            break;
          }
          data += entry;
        }
        put(out, data.size(), 4);
        return out + data;
      }
      case 22:
        put_text(out, fid.file->content);
        return out;
      case 120:
        fids.erase(first);
        return out;
      default:
        failure = 95;
        return {};
    }
  }

  std::vector<std::unique_ptr<FakeFile>> nodes_;
};

}  // namespace vellum::host
