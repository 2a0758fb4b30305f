"""Tokens of any kind, signed with any key. Node signs, because the stack needs it anyway."""

from __future__ import annotations

import base64
import json
import subprocess
import time

_NODE = r"""
const crypto = require('crypto'), fs = require('fs');
const { keys, wanted } = JSON.parse(fs.readFileSync(0, 'utf8'));
const b64 = text => Buffer.from(text).toString('base64url');
const pairs = {};
const pair = name => pairs[name] ??= keys[name]
  ? { privateKey: crypto.createPrivateKey(keys[name]), publicKey: crypto.createPublicKey(keys[name]) }
  : crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const sign = ({ header, claims, key, by }) => {
  const message = b64(JSON.stringify(header)) + '.' + b64(JSON.stringify(claims));
  if (by === 'nobody') return message + '.';
  if (by === 'hmac') {
    const secret = pair(key).publicKey.export({ type: 'spki', format: 'pem' });
    return message + '.' + crypto.createHmac('sha256', secret).update(message).digest('base64url');
  }
  return message + '.' + crypto.sign('sha256', Buffer.from(message), pair(key).privateKey).toString('base64url');
};
const tokens = wanted.map(sign);
const jwks = Object.fromEntries(Object.entries(pairs).map(([name, { publicKey }]) => [name, publicKey.export({ format: 'jwk' })]));
process.stdout.write(JSON.stringify({ tokens, jwks }));
"""

EVENT_GRID = "4962773b-9cdb-44cf-a8bf-237846a00ab7"
ROLE = "AzureEventGridSecureWebhookSubscriber"


def node(keys: dict[str, str], wanted: list[dict]) -> dict:
    """`keys` are PEM by name; a name that is not among them is a new key. The tokens, and the public keys used."""
    done = subprocess.run(
        ["node", "-e", _NODE], input=json.dumps({"keys": keys, "wanted": wanted}), capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


class Forger:
    """Variations of a valid token of an issuer whose key one has."""

    def __init__(self, oidc: dict, kid: str):
        tenant = oidc["issuer"].split("/")[3]
        now = int(time.time())
        self.header = {"alg": "RS256", "typ": "JWT", "kid": kid}
        self.claims = {
            "iss": oidc["issuer"], "aud": oidc["audience"], "tid": tenant, "azp": EVENT_GRID, "appid": EVENT_GRID,
            "roles": [ROLE], "iat": now, "nbf": now - 10, "exp": now + 3600,
        }

    def token(self, header: dict | None = None, key: str = "issuer", by: str = "rsa", **claims) -> dict:
        """What to ask `node` for. A claim of `None` is left out."""
        changed = {**self.claims, **claims}
        return {
            "header": {**self.header, **(header or {})}, "key": key, "by": by,
            "claims": {name: value for name, value in changed.items() if value is not None},
        }

    def forged(self, elsewhere: str) -> dict[str, dict]:
        """Each kind of token that must not be believed; `elsewhere` is a URL that nobody may ask."""
        foreign, now = "99999999-0000-4000-8000-000000000000", int(time.time())
        return {
            "alg none": self.token({"alg": "none"}, by="nobody"),
            "alg none, signed": self.token({"alg": "none"}),
            "HS256 with the public key": self.token({"alg": "HS256"}, by="hmac"),
            "RS512 said, RS256 done": self.token({"alg": "RS512"}),
            "another key": self.token(key="foreign"),
            "an unknown kid": self.token({"kid": "unknown"}, key="foreign"),
            "no kid": self.token({"kid": None}),
            "jku": self.token({"kid": "theirs", "jku": elsewhere}, key="foreign"),
            "x5u": self.token({"x5u": elsewhere}, key="foreign"),
            "jku and our kid": self.token({"jku": elsewhere}, key="foreign"),
            "another issuer": self.token(iss="https://sts.windows.net/" + foreign + "/"),
            "no issuer": self.token(iss=None),
            "an issuer that is a URL to ask": self.token(iss=elsewhere),
            "another audience": self.token(aud="api://other"),
            "another tenant": self.token(tid=foreign),
            "another application": self.token(appid=foreign, azp=foreign),
            "no role": self.token(roles=None),
            "another role": self.token(roles=["Reader"]),
            "expired": self.token(exp=now - 120),
            "not yet valid": self.token(nbf=now + 300),
            "no expiry": self.token(exp=None),
            "a header that must be understood": self.token({"crit": ["exp"]}),
            "one that nobody knows": self.token({"crit": ["theirs"], "theirs": 1}),
            "an unencoded payload said": self.token({"crit": ["b64"], "b64": False}),
            "a compression said": self.token({"zip": "DEF"}),
            "a token for another purpose": self.token({"typ": "logout+jwt"}),
            "a list of issuers": self.token(iss=[self.claims["iss"]]),
            "a list of tenants": self.token(tid=[self.claims["tid"]]),
            "a list of applications": self.token(appid=[EVENT_GRID]),
            "two applications": self.token(azp=foreign),
            "a role that is no list": self.token(roles=ROLE),
            "other audiences": self.token(aud=["api://other", "api://another"]),
            "an expiry in text": self.token(exp=str(now + 3600)),
            "an expiry beyond all numbers": self.token(exp=1e300),
        }


def reads(token: str) -> tuple[dict, dict]:
    """Header and claims."""
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (header, claims))
