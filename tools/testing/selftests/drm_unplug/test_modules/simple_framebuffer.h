/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SIMPLE_FRAMEBUFFER_H
#define SIMPLE_FRAMEBUFFER_H

/* init_module() and cleanup_module() of simpledrm.c, as the Makefile calls them */
int simpledrm_init(void);
void simpledrm_exit(void);

#endif
