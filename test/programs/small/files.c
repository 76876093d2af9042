// Streams, folders and times of files.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int is_plain(const struct dirent* entry) { return entry->d_name[0] != '.'; }

int main(void) {
  if (mkdir("folder", 0755) != 0 || chdir("folder") != 0) {
    perror("folder");
    return 1;
  }
  FILE* file = fopen("numbers", "w+");
  for (int i = 0; i < 10000; i++) {
    fprintf(file, "%d\n", i * i);
  }
  fseek(file, 1000, SEEK_SET);
  char line[32];
  printf("%s", fgets(line, sizeof line, file));
  printf("%s", fgets(line, sizeof line, file));
  fseek(file, 0, SEEK_END);
  printf("%ld bytes\n", ftell(file));
  fclose(file);
  struct stat status;
  stat("numbers", &status);
  printf("%ld %o %d\n", (long)status.st_size, status.st_mode & 07777, labs((long)(time(NULL) - status.st_mtime)) < 100);
  rename("numbers", "b");
  symlink("b", "a");
  struct dirent** names;
  const int n = scandir(".", &names, is_plain, alphasort);
  for (int i = 0; i < n; i++) {
    printf("%s %d\n", names[i]->d_name, names[i]->d_type);
    free(names[i]);
  }
  free(names);
  FILE* none = fopen("none", "r");
  printf("%d %s\n", none == NULL, errno == ENOENT ? "no such file" : "another error");
  unlink("a");
  unlink("b");
  const int left = chdir("..");
  printf("%d %d\n", left, rmdir("folder"));
  FILE* temporary = tmpfile();
  fputs("text", temporary);
  rewind(temporary);
  printf("%c\n", fgetc(temporary));
  return 0;
}
