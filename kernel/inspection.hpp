// What the tables and the processes look like, as JSON (docs/inspecting.md). The real tables are read, those that the
// processor runs.
#pragma once

#include <vellum/unix/held_program.hpp>

#include "json_text.hpp"
#include "kernel.hpp"

namespace vellum::kernel {

// The tables of a process; or, where `program` is null, the kernel's own.
struct InspectedTables {
  Kernel& kernel;
  unix::Program* program = nullptr;

  [[nodiscard]] PhysAddr root() const {
    return program != nullptr ? program->space.root_address() : kernel.tables.root_address();
  }
};

// Each writes members of the object that is open.
//
// The tables from the root to an address, as far as they lead.
void write_walk(JsonText& json, const InspectedTables& tables, VirtAddr address);
// The rows of the layout, and how much the tables map in each.
void write_layout(JsonText& json, const InspectedTables& tables);
void write_processes(JsonText& json);

}  // namespace vellum::kernel
