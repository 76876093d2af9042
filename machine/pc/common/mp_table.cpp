// The table of the MultiProcessor Specification [intel/MP 1.4, 4].
#include <vellum/base/machine.hpp>
#include <vellum/pc/cpus.hpp>
#include <vellum/pc/interrupts.hpp>

namespace vellum::pc {

constinit unsigned cpu_total = 1;

namespace {

struct [[gnu::packed]] Pointer {
  char signature[4];  // "_MP_"
  std::uint32_t table;
  std::uint8_t length;  // in units of 16 bytes
  std::uint8_t revision;
  std::uint8_t checksum;
  std::uint8_t features[5];
};
static_assert(sizeof(Pointer) == 16);

struct [[gnu::packed]] Header {
  char signature[4];  // "PCMP"
  std::uint16_t length;
  std::uint8_t revision;
  std::uint8_t checksum;
  char names[20];
  std::uint32_t other_table;
  std::uint16_t other_length;
  std::uint16_t entries;
  std::uint32_t local_apic;
  std::uint32_t extension;
};
static_assert(sizeof(Header) == 44);

// An entry that describes a CPU; those of all other kinds have 8 bytes.
struct [[gnu::packed]] Processor {
  std::uint8_t kind;  // 0
  std::uint8_t apic_id;
  std::uint8_t apic_version;
  std::uint8_t flags;
  std::uint32_t signature;
  std::uint32_t features;
  std::uint32_t reserved[2];
};
static_assert(sizeof(Processor) == 20);
constexpr std::uint8_t kEnabled = 1;
constexpr std::uint8_t kBootCpu = 2;
constexpr std::size_t kOtherEntry = 8;

constinit std::uint8_t apic_ids[kMostStartedCpus] = {};

bool sums_to_zero(const std::byte* bytes, std::size_t size) {
  std::uint8_t sum = 0;
  for (std::size_t i = 0; i < size; ++i) {
    sum = static_cast<std::uint8_t>(sum + static_cast<std::uint8_t>(bytes[i]));
  }
  return sum == 0;
}

const Header* header_in(PhysAddr start, PhysAddr end) {
  for (PhysAddr at = start; at < end; at += ByteCount(sizeof(Pointer))) {
    const auto* const pointer = direct_mapped<const Pointer>(at);
    if (__builtin_memcmp(pointer->signature, "_MP_", 4) != 0 || pointer->table == 0 || pointer->length != 1 ||
        !sums_to_zero(reinterpret_cast<const std::byte*>(pointer), sizeof(Pointer))) {
      continue;
    }
    const auto* const header = direct_mapped<const Header>(PhysAddr(pointer->table));
    if (__builtin_memcmp(header->signature, "PCMP", 4) == 0 &&
        sums_to_zero(reinterpret_cast<const std::byte*>(header), header->length)) {
      return header;
    }
  }
  return nullptr;
}

void read_processors(const Header& header) {
  const auto* at = reinterpret_cast<const std::byte*>(&header + 1);
  const auto* const end = reinterpret_cast<const std::byte*>(&header) + header.length;
  // The length bounds them: qboot, QEMU's firmware for microvm, says that there are no entries.
  while (at + kOtherEntry <= end) {
    const auto& processor = *reinterpret_cast<const Processor*>(at);
    if (processor.kind != 0) {
      at += kOtherEntry;
      continue;
    }
    at += sizeof(Processor);
    if ((processor.flags & kBootCpu) != 0) {
      apic_ids[0] = processor.apic_id;
    } else if ((processor.flags & kEnabled) != 0 && cpu_total < kMostStartedCpus) {
      apic_ids[cpu_total++] = processor.apic_id;
    }
  }
}

}  // namespace

std::uint8_t apic_id_of(CpuIndex cpu) { return apic_ids[cpu.value()]; }

void find_cpus() {
  // The last KB of memory below 640 KB, and what belongs to the firmware below 1 MB.
  const Header* header = header_in(PhysAddr(0x9FC00), PhysAddr(0xA0000));
  if (header == nullptr) {
    header = header_in(PhysAddr(0xF0000), PhysAddr(0x100000));
  }
  if (header != nullptr) {
    read_processors(*header);
    boot_cpu.apic_id = apic_ids[0];
  }
}

}  // namespace vellum::pc
