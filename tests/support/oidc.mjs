// SPDX-License-Identifier: GPL-3.0-or-later
// A real OpenID provider (oidc-provider) on loopback, for tests/interop/oidc.py:
//   node oidc.mjs MODULES CERTIFICATE KEY LIFETIME
// prints its port.
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, cert, key, lifetime] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(
	path.join(modules, 'oidc-provider/lib/index.js')));

const server = https.createServer({
	cert: fs.readFileSync(cert), key: fs.readFileSync(key),
});
server.listen(0, '127.0.0.1', () => {
	const { port } = server.address();
	const provider = new Provider(`https://localhost:${port}`, {
		clients: [{
			client_id: 'dovecot', client_secret: 'introspects',
			grant_types: [], redirect_uris: [], response_types: [],
		}, {
			client_id: 'robot', client_secret: 'builds things',
			grant_types: ['client_credentials'],
			redirect_uris: [], response_types: [],
		}],
		features: {
			deviceFlow: { enabled: true },
			devInteractions: { enabled: true },
			registration: { enabled: true },
			introspection: { enabled: true },
			revocation: { enabled: true },
			clientCredentials: { enabled: true },
			rpInitiatedLogout: { enabled: false },
		},
		clientDefaults: { id_token_signed_response_alg: 'RS256' },
		issueRefreshToken: async (ctx, client) =>
			client.grantTypeAllowed('refresh_token'),
		ttl: { AccessToken: Number(lifetime), ClientCredentials: 60,
		       DeviceCode: 60, RefreshToken: 3600, Grant: 3600,
		       Interaction: 600, Session: 600 },
		cookies: { keys: ['a test'] },
	});
	provider.on('server_error', (ctx, error) => console.error(error));
	provider.on('grant.error', (ctx, error) => console.error(error.message,
		error.error_detail));
	server.on('request', provider.callback());
	console.log(port);
});
