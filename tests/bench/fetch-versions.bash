#!/usr/bin/env bash
#
# Fetches ten successive releases of one real source tree, for tests/bench/run --only versions.
#
#	tests/bench/fetch-versions.bash FOLDER
#
# It is Debian's source package "linux": the newest ten upstream releases of a series that the
# mirrors hold for the suites this machine is set up for (what a mirror lists but has not is passed
# over), whole folders of each (below), about 12,000 files and 170 MB a release.  The kernel, because
# no other source package has as many releases on the mirrors at one time.  1.4 GB to fetch, some
# minutes; apt checks the signatures.  The machine's own lists of packages are left alone.
set -euo pipefail

folder=${1:?"usage: fetch-versions.bash FOLDER"}
package=linux
count=10
parts=(block crypto fs include ipc kernel lib mm net scripts security)

[[ ! -e $folder ]] || { echo "fetch-versions: $folder is there already" >&2 && exit 1; }
mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
chmod 0755 "$work"

mkdir -p "$work"/{lists,cache,fetched,releases}
cat >"$work/apt.conf" <<END
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$work/lists";
Dir::Cache "$work/cache";
APT::Sandbox::User "root";
END
# shellcheck disable=SC2016 # apt expands these
apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' \
	'Created-By: Packages' 'Origin: Debian' | sort -u >"$work/sources.list"
[[ -s $work/sources.list ]] || { echo "fetch-versions: apt knows no suite of Debian" >&2 && exit 1; }
export APT_CONFIG=$work/apt.conf
apt-get -q update >&2

# Of the series with the most releases; one Debian revision each, as revisions share the tarball.
releases() {
	apt-cache showsrc --only-source "$package" | sed -n 's/^Version: //p' | sort -Vu |
		awk -F- '{ last[$1] = $0 } END { for (upstream in last) print last[upstream] }' |
		sort -V | awk -F. '{ series = $1 "." $2; list[series] = list[series] $0 "\n"
			if (++count[series] >= count[most]) most = series }
			END { printf "%s", list[most] }' | tac
}

cd "$work/fetched"
have=0
while ((have < count)) && read -r version; do
	echo "fetch-versions: $package $version" >&2
	apt-get -q --download-only --tar-only --only-source source "$package=$version" >&2 </dev/null ||
		{ rm -f ./* && continue; }
	mkdir "$work/releases/${version%-*}"
	tar -xaf ./*.orig.tar.* -C "$work/releases/${version%-*}" --strip-components 1 --wildcards \
		--no-wildcards-match-slash \
		"${parts[@]/#/*\/}"
	rm -f ./*
	have=$((have + 1))
done < <(releases)
((have >= 2)) ||
	{ echo "fetch-versions: the mirrors hold too few releases of $package" >&2 && exit 1; }
mv "$work/releases" "$folder"
