/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/environment.h"
#include "base/log.h"
#include "base/user.h"
#include "desk/desk.h"
#include "submit/login.h"

bool desk_step_down(const struct config *c, bool login, struct outcome *why)
{
	struct user owner = { 0 };
	struct stat st;
	bool done;

	if (c->user_file || !c->queue.directory ||
	    !user_is_to_become_owner(c->queue.directory, &st))
		return true;
	if (!user_find(st.st_uid, &owner, why))
		return false;
	if (!owner.name)
		owner.gid = st.st_gid;
	if (c->log.to)
		log_prepare(c->log.to, st.st_uid, owner.gid);
	if (login)
		login_prepare(c, st.st_uid, owner.gid);
	done = !(owner.name ? initgroups(owner.name, owner.gid)
			    : setgroups(0, NULL)) &&
	       !setresgid(owner.gid, owner.gid, owner.gid) &&
	       !setresuid(st.st_uid, st.st_uid, st.st_uid);
	if (!done)
		outcome_fail(why, STAGE_LOCAL, EX_OSERR,
			     "cannot become the queue's owner: %s",
			     strerror(errno));
	/* commands and libraries look for his files, not for root's, nor for
	 * those of the one whose HOME was kept */
	if (done)
		environment_become(owner.name, owner.home);
	user_release(&owner);
	prctl(PR_SET_DUMPABLE, 0);
	return done;
}
