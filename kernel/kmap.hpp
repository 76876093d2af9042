// The live table of the kernel half, as text: what /proc/kmap shows.
#pragma once

namespace vellum::kernel {

// Hands out the text line by line, each with its end: for each region of the layout, from high to low, its borders,
// rights, size and how much of it is mapped, read from the tables that the CPU runs; below it the stretches that are.
void write_kmap(void (*put)(void* context, const char* line), void* context);

}  // namespace vellum::kernel
