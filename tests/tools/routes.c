/*
 * The agent's routes, one a line: METHOD PATTERN ROLE BODY ACTION, "-" for no action; BODY is
 * "body" or "-".  So the integration tests walk the very table that the agent serves.
 */
#include <stdio.h>

#include "agent/http/router.h"

int
main(void)
{
	const struct route *routes;
	size_t count, i;

	routes = router_routes(&count);
	for (i = 0; i < count; i++)
		printf("%s %s %s %s %s\n", routes[i].method, routes[i].pattern,
		    role_word(routes[i].role), (routes[i].flags & ROUTE_BODY) != 0 ? "body" : "-",
		    routes[i].action[0] != '\0' ? routes[i].action : "-");
	return 0;
}
