#include "call_list.hpp"

#include <vellum/pc/console.hpp>
#include <vellum/unix/system_call.hpp>

namespace vellum::kernel {

namespace {

void list_values(unsigned argument, const unix::ValueNames& names) {
  pc::print_line("  argument ", std::uint64_t{argument + 1});
  for (const unix::NamedValue& named : names.values) {
    pc::print_line("    ", named.name, " ", named.value, " ", named.remark);
  }
}

}  // namespace

void list_system_calls() {
  unix::for_each_system_call([](const unix::SystemCall& call) {
    pc::print_line("call ", std::uint64_t{call.number}, " ", call.name, " ", std::uint64_t{call.argument_count}, " ",
                   call.served == unix::Served::beside_system ? "at_once" : "in_turn");
    for (unsigned i = 0; i < call.argument_count; ++i) {
      if (const unix::ValueNames* const names = call.shown[i].names()) {
        list_values(i, *names);
      }
    }
  });
}

}  // namespace vellum::kernel
