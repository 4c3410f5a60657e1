#define _GNU_SOURCE
#include "CProgram.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#ifndef NT_GNU_BUILD_ID
#define NT_GNU_BUILD_ID 3
#endif

struct search {
  unsigned char *bytes;
  size_t capacity, length;
};

// Looks for the note in a segment of notes: header, name and content, the latter two padded to `align` bytes.
static void search_notes(struct search *found, const unsigned char *notes, size_t size, size_t align) {
  size_t at = 0;
  while (size - at >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    memcpy(&note, notes + at, sizeof note);
    at += sizeof note;
    size_t name = at, name_size = (note.n_namesz + align - 1) / align * align;
    size_t content_size = (note.n_descsz + align - 1) / align * align;
    if (name_size > size - at || content_size > size - at - name_size) return;
    const unsigned char *content = notes + name + name_size;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(notes + name, "GNU", 4) == 0) {
      found->length = note.n_descsz;
      memcpy(found->bytes, content, note.n_descsz < found->capacity ? note.n_descsz : found->capacity);
      return;
    }
    at = name + name_size + content_size;
  }
}

static int visit(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  struct search *found = data;
  for (size_t i = 0; i < info->dlpi_phnum && found->length == 0; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type != PT_NOTE) continue;
    search_notes(
        found, (const unsigned char *)(uintptr_t)(info->dlpi_addr + header->p_vaddr), header->p_memsz,
        header->p_align == 8 ? 8 : 4);
  }
  return 1;  // The executable comes first; libraries have ids of their own.
}

size_t lockstep_build_id(unsigned char *bytes, size_t capacity) {
  struct search found = {bytes, capacity, 0};
  dl_iterate_phdr(visit, &found);
  return found.length;
}

const char *lockstep_libc_version(void) {
#ifdef __GLIBC__
  static char text[64];
  snprintf(text, sizeof text, "glibc %s", gnu_get_libc_version());
  return text;
#else
  return "unknown";
#endif
}

const char *lockstep_executable_path(void) { return (const char *)getauxval(AT_EXECFN); }
