#include <cstdio>
#include <vellum/vellum.hpp>

int main() {
  auto machine = libvellum::Machine::create({.memory = 64 << 20}).value();
  auto space = machine.create_space().value();
  const std::uint64_t at = space.map(1 << 20).value();
  space.store<std::uint32_t>(at, 1).value();

  const auto snapshot = space.snapshot().value();
  for (std::uint32_t input = 2; input < 5; ++input) {
    space.store<std::uint32_t>(at, input).value();  // whatever is to be tried
    space.unmap(at + 4096, 4096).value();
    space.restore(snapshot).value();
  }
  std::printf("again %u, in %zu region\n", space.load<std::uint32_t>(at).value(), space.regions().value().size());

  if (const auto loaded = space.load<std::uint8_t>(0x30); !loaded) {
    std::printf("%s\n", loaded.error().message().c_str());
  }
}
