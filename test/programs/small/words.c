// Reads words from stdin, sorts them, counts letters, formats numbers: what a C library does without much of a kernel.
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void* a, const void* b) { return strcmp(*(char* const*)a, *(char* const*)b); }

int main(int count, char** arguments) {
  for (int i = 1; i < count; i++) {
    printf("argument %d: %s\n", i, arguments[i]);
  }
  char* words[100];
  size_t n = 0;
  char word[64];
  unsigned letters[26] = {0};
  while (n < 100 && scanf("%63s", word) == 1) {
    words[n++] = strdup(word);
    for (const char* c = word; *c != '\0'; c++) {
      if (isalpha((unsigned char)*c)) {
        letters[tolower((unsigned char)*c) - 'a']++;
      }
    }
  }
  qsort(words, n, sizeof *words, compare);
  for (size_t i = 0; i < n; i++) {
    printf("%2zu %-8s|\n", i, words[i]);
    free(words[i]);
  }
  for (int i = 0; i < 26; i++) {
    printf("%c%u ", 'a' + i, letters[i]);
  }
  printf("\n%.10f %e %g %a %Lf\n", sqrt(2), exp(20), pow(2, 0.5), 0.1, sinl(1));
  printf("%lld %#llx %zu\n", 1LL << 62, ~0ULL, sizeof(void*));
  return 3;
}
