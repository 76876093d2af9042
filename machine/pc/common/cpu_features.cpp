#include <vellum/pc/cpu_features.hpp>
#include <vellum/pc/instructions.hpp>

namespace vellum::pc {

namespace {

constexpr bool bit(std::uint32_t word, unsigned number) { return (word >> number & 1) != 0; }

// [intel/vol2 CPUID, tables 3-8 and 3-11]
CpuFeatures read_features() {
  CpuFeatures features;
  const CpuidLeaf basic = cpuid(1);
  features.global_pages = bit(basic.edx, 13);
  features.xsave = bit(basic.ecx, 26);
  features.random = bit(basic.ecx, 30);
  if (cpuid(0).eax >= 7) {
    const CpuidLeaf structured = cpuid(7);
    features.smep = bit(structured.ebx, 7);
    features.smap = bit(structured.ebx, 20);
    features.umip = bit(structured.ecx, 2);
  }
  if (cpuid(0x80000000).eax >= 0x80000001) {
    const CpuidLeaf extended = cpuid(0x80000001);
    features.no_execute = bit(extended.edx, 20);
    features.gigabyte_pages = bit(extended.edx, 26);
  }
  return features;
}

}  // namespace

CpuFeatures enable_protections() {
  const CpuFeatures features = read_features();
  write_cr0(read_cr0() | cr0::kWriteProtect);
  if (features.no_execute) {
    write_msr(msr::kExtendedFeatures, read_msr(msr::kExtendedFeatures) | msr::kEferNoExecute);
  }
  write_cr4(read_cr4() | (features.smep ? cr4::kSupervisorExecutionPrevention : 0) |
            (features.smap ? cr4::kSupervisorAccessPrevention : 0) |
            (features.umip ? cr4::kUserInstructionPrevention : 0));
  return features;
}

void enable_global_pages(const CpuFeatures& features) {
  if (features.global_pages) {
    write_cr4(read_cr4() | cr4::kGlobalPages);
  }
}

}  // namespace vellum::pc
