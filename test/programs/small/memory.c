// The allocator of the C library, small and large, and mappings of its own.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint32_t state = 12345;

static uint32_t next_random(void) { return state = state * 1664525 + 1013904223; }

int main(void) {
  enum { kSlots = 500 };
  unsigned char* slots[kSlots] = {0};
  size_t sizes[kSlots] = {0};
  unsigned long wrong = 0;
  for (int round = 0; round < 50000; round++) {
    const unsigned i = next_random() % kSlots;
    for (size_t j = 0; j < sizes[i]; j += 97) {
      wrong += slots[i][j] != (unsigned char)i;
    }
    const size_t size = next_random() % 50 == 0 ? next_random() % 400000 : next_random() % 2000;
    if (next_random() % 3 == 0) {
      free(slots[i]);
      slots[i] = malloc(size + 1);
    } else {
      slots[i] = realloc(slots[i], size + 1);
    }
    sizes[i] = size;
    memset(slots[i], (int)i, size);
  }
  for (int i = 0; i < kSlots; i++) {
    free(slots[i]);
  }
  printf("%lu wrong bytes\n", wrong);
  const size_t large = (size_t)64 << 20;
  char* block = malloc(large);
  memset(block, 1, large);
  unsigned long sum = 0;
  for (size_t i = 0; i < large; i += 4096) {
    sum += (unsigned long)block[i];
  }
  free(block);
  printf("%lu pages\n", sum);
  char* zeros = calloc(1 << 20, 8);
  for (size_t i = 0; i < (size_t)8 << 20; i += 64) {
    wrong += zeros[i] != 0;
  }
  free(zeros);
  char* mapped = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mapped[(1 << 20) - 1] = 'x';
  printf("%d %lu\n", munmap(mapped, 1 << 20), wrong);
  return 0;
}
