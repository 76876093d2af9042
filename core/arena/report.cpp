#include "report.hpp"

#include <cstddef>
#include <initializer_list>

#include <vellum/base/panic.hpp>

namespace vellum {

void panic_about(const char* kind, const char* name, const char* what) {
  char text[128];
  std::size_t length = 0;
  for (const char* part : {kind, " ", name, ": ", what}) {
    for (; *part != '\0' && length < sizeof(text) - 1; ++part) {
      text[length++] = *part;
    }
  }
  text[length] = '\0';
  panic(text);
}

}  // namespace vellum
