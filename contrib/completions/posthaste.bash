# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of posthaste's options for bash. Install as
# /usr/share/bash-completion/completions/posthaste, or source it.
# tests/manual.py holds the two lists against the program's table.

_posthaste_plain='
	-t --read-recipients -i -oi -oitrue --read-envelope-from -bm -bs --require-tls --dry-run -v -odi -odb -odq -odd
	-bp --check --health --metrics --explain -bv --json --yes --systemd-creds -bi -I --help --version'
_posthaste_valued='
	-f -r -F -B -a --account --transport -N -R -V -q --show --hold
	--release --remove --retry --probe --dnscheck --configure --login
	--setup --store-password -C --config'

# the configuration's sections of a kind, by the file that -C names, if any
_posthaste_sections()
{
	local i file=()

	for ((i = 1; i < COMP_CWORD - 1; i++)); do
		case ${COMP_WORDS[i]} in
		-C|--config) file=(-C "${COMP_WORDS[i + 1]}") ;;
		esac
	done
	"${COMP_WORDS[0]}" "${file[@]}" --check 2>/dev/null </dev/null |
		sed -n "s/^\[$1 \(.*\)\]\$/\1/p"
}

_posthaste_ids()
{
	"${COMP_WORDS[0]}" -bp 2>/dev/null </dev/null |
		sed -n 's/^\([0-9A-Za-z]\{6,\}\)[ !].*/\1/p'
	echo ALL
}

_posthaste()
{
	local cur=${COMP_WORDS[COMP_CWORD]}
	local prev=${COMP_WORDS[COMP_CWORD - 1]} word words=()

	case $prev in
	-C|--config)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames 2>/dev/null
		return ;;
	-a|--account)	mapfile -t words < <(_posthaste_sections account) ;;
	--transport)	mapfile -t words < <(
				echo direct; _posthaste_sections transport) ;;
	--probe|--login|--store-password)
			mapfile -t words < <(_posthaste_sections transport) ;;
	--dnscheck)	mapfile -t words < <(_posthaste_sections domain) ;;
	--show|--hold|--release|--remove|--retry)
			mapfile -t words < <(_posthaste_ids) ;;
	-B)		words=(7BIT 8BITMIME) ;;
	-N)		words=(never success failure delay) ;;
	-R)		words=(full hdrs) ;;
	-f|-r|-F|-V|--configure|--setup)
			;;
	*)		read -rd '' -a words <<<"$_posthaste_plain
$_posthaste_valued" ;;
	esac
	# not by compgen -W, which expands them: whoever wrote the file that -C
	# names chose what its sections are called
	COMPREPLY=()
	for word in "${words[@]}"; do
		[[ $word != "$cur"* ]] ||
			COMPREPLY+=("$(printf %q "$word")")
	done
}

complete -F _posthaste posthaste sendmail
