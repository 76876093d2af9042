#include "process.hpp"

#include <dirent.h>

namespace guest {

void Folder::remove_all(const std::string& path) {
  if (unlink(path.c_str()) == 0) {
    return;
  }
  if (DIR* folder = opendir(path.c_str()); folder != nullptr) {
    while (const dirent* entry = readdir(folder)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") {
        remove_all(path + "/" + name);
      }
    }
    closedir(folder);
  }
  rmdir(path.c_str());
}

std::string read_rest(int file) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t n = read(file, buffer, sizeof buffer);
    if (n < 0) {
      fail(__FILE__, __LINE__, "read failed: " + std::to_string(errno));
    }
    if (n == 0) {
      return text;
    }
    text.append(buffer, static_cast<std::size_t>(n));
  }
}

std::string read_file(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY);
  if (file < 0) {
    fail(__FILE__, __LINE__, "open of " + path + " failed: " + std::to_string(errno));
  }
  std::string text = read_rest(file);
  close(file);
  return text;
}

void write_file(const std::string& path, const std::string& text, mode_t mode) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (file < 0 || write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    fail(__FILE__, __LINE__, "writing " + path + " failed: " + std::to_string(errno));
  }
  close(file);
}

}  // namespace guest
