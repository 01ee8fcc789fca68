/* SPDX-License-Identifier: GPL-3.0-or-later */
/* c-ares, loaded when something needs it first. */
#ifndef WIRE_DNS_LIBRARY_H
#define WIRE_DNS_LIBRARY_H

/* ares_send is the oldest and the newest library's alike; the newest would
 * rather have a call that older ones lack */
#define CARES_NO_DEPRECATED
#include <ares.h>

#include "base/library.h"

#define ARES_CALLS(F) \
	F(ares_cancel) \
	F(ares_destroy) \
	F(ares_init_options) \
	F(ares_library_cleanup) \
	F(ares_library_init) \
	F(ares_process_fd) \
	F(ares_send) \
	F(ares_set_servers_ports_csv) \
	F(ares_set_socket_functions) \
	F(ares_strerror) \
	F(ares_timeout)

struct ares_calls {
	ARES_CALLS(LIBRARY_MEMBER)
};

/* Loads it where nothing has yet. False: EX_OSERR. To be asked where a failure
 * can be told; without, the first call ends the process. */
bool ares_load(struct outcome *why) MUST_CHECK;
const struct ares_calls *ares_calls(void);

#define ARES_CALL(function) ares_calls()->function

#define ares_cancel ARES_CALL(ares_cancel)
#define ares_destroy ARES_CALL(ares_destroy)
#define ares_init_options ARES_CALL(ares_init_options)
#define ares_library_cleanup ARES_CALL(ares_library_cleanup)
#define ares_library_init ARES_CALL(ares_library_init)
#define ares_process_fd ARES_CALL(ares_process_fd)
#define ares_send ARES_CALL(ares_send)
#define ares_set_servers_ports_csv ARES_CALL(ares_set_servers_ports_csv)
#define ares_set_socket_functions ARES_CALL(ares_set_socket_functions)
#define ares_strerror ARES_CALL(ares_strerror)
#define ares_timeout ARES_CALL(ares_timeout)

#endif
