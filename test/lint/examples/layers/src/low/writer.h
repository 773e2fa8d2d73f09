#ifndef WRITER_H
#define WRITER_H

static inline int
writer_size(int n)
{
	return n * sizeof(int);
}

extern void writer_write(struct Sale *sale);
extern void writer_flush(void);
#define WRITER_SIZE 3

#endif							/* WRITER_H */
