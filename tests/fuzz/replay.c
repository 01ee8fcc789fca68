/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A main for fuzz targets built without a fuzzer: replays files and the
 * files of folders, one TAP line each. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static unsigned number;

static void replay_file(const char *path)
{
	static unsigned char data[1024 * 1024];
	FILE *f = fopen(path, "rb");
	const char *name = strrchr(path, '/');
	size_t n;

	number++;
	if (!f) {
		printf("not ok %u - %s cannot be read\n", number, path);
		return;
	}
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, n);
	printf("ok %u - %s\n", number, name ? name + 1 : path);
	fflush(stdout);
}

static void replay(const char *path)
{
	struct stat st;
	struct dirent *e;
	DIR *d;
	char below[4096];

	if (stat(path, &st) || !S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		replay_file(below);
	}
	if (d)
		closedir(d);
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		replay(argv[i]);
	printf("1..%u\n", number);
	return number ? EXIT_SUCCESS : EXIT_FAILURE;
}
