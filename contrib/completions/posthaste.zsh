#compdef posthaste sendmail
# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of posthaste's options for zsh. Install as _posthaste in a
# folder of $fpath. tests/manual.py holds the list against the program's
# table.

# the configuration's sections of a kind, by the file that -C names, if any
_posthaste_sections() {
	local -a file found
	local given=${opt_args[-C]:-${opt_args[--config]}}

	[[ -n $given ]] && file=(-C $given)
	found=(${(f)"$(_call_program sections $words[1] $file --check \
		2>/dev/null </dev/null | sed -n "s/^\[$1 \(.*\)\]\$/\1/p")"})
	[[ $2 = direct ]] && found+=(direct)
	compadd -a found
}

_posthaste_ids() {
	local -a found

	found=(${(f)"$(_call_program ids $words[1] -bp 2>/dev/null </dev/null |
		sed -n 's/^\([0-9A-Za-z]\{6,\}\)[ !].*/\1/p')"} ALL)
	compadd -a found
}

# the blank before an action keeps _arguments from putting words of its own
# before those of the action
_arguments -S -A '-*' \
	'-t[send also to the addresses in To, Cc and Bcc]' \
	'--read-recipients[the same as -t]' \
	'--read-envelope-from[envelope sender from the From field]' \
	'-i[a line with a single dot does not end the message]' \
	'-oi[the same as -i]' \
	'-oitrue[the same as -i]' \
	'*-f+[envelope sender]:address:' \
	'*-r+[the same as -f]:address:' \
	'*-F+[full name for a From field that is added]:name:' \
	'-B+[body type]:type:(7BIT 8BITMIME)' \
	'-bm[send one message from standard input]' \
	'-bs[speak SMTP on standard input and output]' \
	'-a+[use this account]:account: _posthaste_sections account' \
	'--account=[use this account]:account: _posthaste_sections account' \
	'--transport=[use this transport]:transport: _posthaste_sections transport direct' \
	'--require-tls[ask for REQUIRETLS]' \
	'--dry-run[show what would be sent, and send nothing]' \
	'-v[transcript of the session on standard error]' \
	'-N+[when to report]:condition:_sequence compadd - never success failure delay' \
	'-R+[what a report returns]:what:(full hdrs)' \
	'-V+[envelope identifier that reports repeat]:identifier:' \
	'-odi[deliver now and wait for the result]' \
	'-odb[queue, return, deliver in the background]' \
	'-odq[queue only]' \
	'-odd[the same as -odq]' \
	'-q-[run the queue once]:: :' \
	'-bp[list the queue]' \
	'--show=[show an entry of the queue]:entry: _posthaste_ids' \
	'--hold=[keep an entry until it is released]:entry: _posthaste_ids' \
	'--release=[end a hold]:entry: _posthaste_ids' \
	'--remove=[remove an entry, unsent]:entry: _posthaste_ids' \
	'--retry=[make an entry due]:entry: _posthaste_ids' \
	'--check[print the configuration as in effect, and its faults]' \
	'--health[say what monitoring wants to know]' \
	'--metrics[with --health: for Prometheus]' \
	'--explain[say by which way mail would go]' \
	'-bv[the same as --explain]' \
	'--probe[connect, and say what is found]::transport or address: _posthaste_sections transport' \
	'--dnscheck=[hold the configuration against DNS]:domain: _posthaste_sections domain' \
	'--login=[log a transport in]:transport: _posthaste_sections transport' \
	'--configure=[print a configuration for an address]:address:' \
	'--setup=[from an address to a message that arrived]:address:' \
	'--yes[ask nothing, take every default]' \
	'--store-password=[ask for a password and store it]:transport: _posthaste_sections transport' \
	'--systemd-creds[store it as an encrypted credential]' \
	'--json[print the report as JSON]' \
	'-C+[read this configuration file]:file:_files' \
	'--config=[read this configuration file]:file:_files' \
	'-bi[does nothing]' \
	'-I[the same as -bi]' \
	'(- *)--help[print the options]' \
	'(- *)--version[print the version and what is built in]' \
	'*:recipient:'
