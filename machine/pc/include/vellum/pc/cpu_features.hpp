// What the processor can do to protect memory, and turning it on.
#pragma once

namespace vellum::pc {

struct CpuFeatures {
  bool no_execute = false;  // NX bit in entries
  bool gigabyte_pages = false;
  bool global_pages = false;
  bool smep = false;  // the kernel does not execute user pages
  bool smap = false;  // the kernel touches user pages only between stac and clac
  bool xsave = false;
  bool random = false;  // RDRAND
  bool umip = false;    // SGDT, SIDT, SLDT, SMSW, STR fault in user mode
};

// Reads CPUID and turns on, on the calling CPU: write protection of the kernel (CR0.WP), NX (EFER.NXE), SMEP, SMAP,
// UMIP, each where it exists.
CpuFeatures enable_protections();

// Makes global translations outlive a change of the root, where the processor can. Once the root is the kernel's own.
void enable_global_pages(const CpuFeatures& features);

}  // namespace vellum::pc
