// Panics that name the instance they are about.
#pragma once

namespace vellum {

// "KIND NAME: WHAT", cut where it grows too long.
[[noreturn]] void panic_about(const char* kind, const char* name, const char* what);

}  // namespace vellum
