// Gives build programs the same "random" numbers each time: preloaded while the published programs are built.
//
// A build script of promql-parser writes the entries of a table in the order of a hash map, which Rust seeds with random
// numbers. So the same sources gave one of several programs. Nothing that is built this way runs with this file.

#include <string.h>
#include <sys/types.h>

ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
	(void)flags;
	memset(buffer, 7, length);
	return (ssize_t)length;
}
