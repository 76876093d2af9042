#include <vellum/virtio/device.hpp>

namespace vellum::virtio {

namespace {

// [virtio 4.2.2]
constexpr unsigned kMagic = 0x000;
constexpr unsigned kVersion = 0x004;
constexpr unsigned kDeviceId = 0x008;
constexpr unsigned kDeviceFeatures = 0x010;
constexpr unsigned kDeviceFeaturesSelect = 0x014;
constexpr unsigned kDriverFeatures = 0x020;
constexpr unsigned kDriverFeaturesSelect = 0x024;
constexpr unsigned kQueueSelect = 0x030;
constexpr unsigned kQueueMost = 0x034;
constexpr unsigned kQueueEntries = 0x038;
constexpr unsigned kQueueReady = 0x044;
constexpr unsigned kQueueNotify = 0x050;
constexpr unsigned kInterruptStatus = 0x060;
constexpr unsigned kInterruptAcknowledge = 0x064;
constexpr unsigned kStatus = 0x070;
constexpr unsigned kQueueDescriptors = 0x080;
constexpr unsigned kQueueAvailable = 0x090;
constexpr unsigned kQueueUsed = 0x0A0;
constexpr unsigned kConfig = 0x100;

constexpr std::uint32_t kMagicValue = 0x74726976;  // "virt"
constexpr std::uint32_t kModern = 2;

// [virtio 2.1]
constexpr std::uint32_t kAcknowledged = 1;
constexpr std::uint32_t kHasDriver = 2;
constexpr std::uint32_t kDriverRuns = 4;
constexpr std::uint32_t kFeaturesAgreed = 8;
constexpr std::uint32_t kGivenUp = 128;

constexpr std::uint64_t kVersion1 = std::uint64_t{1} << 32;  // [virtio 6]
constexpr std::uint32_t kUsedBuffer = 1;

constexpr char kWord[] = "virtio_mmio.device=";

bool skip(const char*& at, char expected) {
  if (*at != expected) {
    return false;
  }
  ++at;
  return true;
}

int digit(char character) {
  if (character >= '0' && character <= '9') {
    return character - '0';
  }
  const char lower = static_cast<char>(character | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 16;
}

bool read_number(const char*& at, std::uint64_t& number) {
  std::uint64_t base = 10;
  if (at[0] == '0' && (at[1] | 0x20) == 'x') {
    base = 16;
    at += 2;
  }
  const char* const first = at;
  number = 0;
  for (; static_cast<std::uint64_t>(digit(*at)) < base; ++at) {
    if (__builtin_mul_overflow(number, base, &number) ||
        __builtin_add_overflow(number, static_cast<std::uint64_t>(digit(*at)), &number)) {
      return false;
    }
  }
  return at != first;
}

bool read_place(const char*& at, DevicePlace& place) {
  std::uint64_t size = 0;
  std::uint64_t address = 0;
  std::uint64_t line = 0;
  if (!read_number(at, size)) {
    return false;
  }
  if ((*at | 0x20) == 'k') {
    ++at;
    size <<= 10;
  }
  if (!skip(at, '@') || !read_number(at, address) || !skip(at, ':') || !read_number(at, line) || line > 255) {
    return false;
  }
  const Result<PhysRange> registers = PhysRange::checked(PhysAddr(address), ByteCount(size));
  if (!registers.ok() || size < kConfig) {
    return false;
  }
  place = {.registers = registers.value(), .interrupt = static_cast<unsigned>(line)};
  return true;
}

}  // namespace

bool next_device(const char*& at, DevicePlace& place) {
  while (*at != '\0') {
    const char* word = at;
    const char* expected = kWord;
    while (*expected != '\0' && *word == *expected) {
      ++word;
      ++expected;
    }
    const bool found = *expected == '\0' && read_place(word, place) && (*word == ' ' || *word == '\0');
    while (*at != '\0' && *at != ' ') {
      ++at;
    }
    while (*at == ' ') {
      ++at;
    }
    if (found) {
      return true;
    }
  }
  return false;
}

Result<void> Device::open(Registers& registers) {
  if (registers.read32(kMagic) != kMagicValue) {
    return Errno::no_device;
  }
  const auto kind = DeviceKind{registers.read32(kDeviceId)};
  if (kind == DeviceKind::none) {
    return Errno::no_device;
  }
  if (registers.read32(kVersion) != kModern) {
    return Errno::not_supported;
  }
  registers_ = &registers;
  kind_ = kind;
  return {};
}

void Device::add_status(std::uint32_t bits) { registers_->write32(kStatus, registers_->read32(kStatus) | bits); }

Result<void> Device::start(std::uint64_t wanted) {
  registers_->write32(kStatus, 0);
  add_status(kAcknowledged);
  add_status(kHasDriver);
  std::uint64_t offered = 0;
  for (std::uint32_t half = 0; half < 2; ++half) {
    registers_->write32(kDeviceFeaturesSelect, half);
    offered |= std::uint64_t{registers_->read32(kDeviceFeatures)} << (32 * half);
  }
  features_ = offered & (wanted | kVersion1);
  for (std::uint32_t half = 0; half < 2; ++half) {
    registers_->write32(kDriverFeaturesSelect, half);
    registers_->write32(kDriverFeatures, static_cast<std::uint32_t>(features_ >> (32 * half)));
  }
  add_status(kFeaturesAgreed);
  if ((features_ & kVersion1) == 0 || (registers_->read32(kStatus) & kFeaturesAgreed) == 0) {
    give_up();
    return Errno::not_supported;
  }
  return {};
}

void Device::write_address(unsigned offset, PhysAddr address) {
  registers_->write32(offset, static_cast<std::uint32_t>(address.value()));
  registers_->write32(offset + 4, static_cast<std::uint32_t>(address.value() >> 32));
}

Result<void> Device::add_queue(unsigned index, Queue& queue, SharedMemory page, unsigned most,
                               Interruption interruption) {
  registers_->write32(kQueueSelect, index);
  const std::uint32_t possible = registers_->read32(kQueueMost);
  unsigned entries = most;
  while (entries > possible) {
    entries /= 2;
  }
  if (entries == 0 || registers_->read32(kQueueReady) != 0) {
    return Errno::no_such_device;
  }
  queue.initialise(page, entries, interruption);
  registers_->write32(kQueueEntries, entries);
  write_address(kQueueDescriptors, queue.descriptors());
  write_address(kQueueAvailable, queue.available());
  write_address(kQueueUsed, queue.used());
  registers_->write32(kQueueReady, 1);
  return {};
}

void Device::run() { add_status(kDriverRuns); }
void Device::give_up() { add_status(kGivenUp); }

void Device::notify(unsigned index, const Queue& queue) {
  if (queue.wants_notification()) {
    registers_->write32(kQueueNotify, index);
  }
}

bool Device::acknowledge_interrupt() {
  const std::uint32_t why = registers_->read32(kInterruptStatus);
  registers_->write32(kInterruptAcknowledge, why);
  return (why & kUsedBuffer) != 0;
}

std::uint8_t Device::config8(unsigned offset) { return registers_->read8(kConfig + offset); }
std::uint16_t Device::config16(unsigned offset) {
  return static_cast<std::uint16_t>(config8(offset) | config8(offset + 1) << 8);
}

}  // namespace vellum::virtio
