"""What moto's Cognito lacks: it looks at the codes of a second factor, and a token can be taken back.

The secrets are those that it hands out itself, in place of moto's, which are no base32. A code is good for its 30 seconds and those
beside them, and once, as RFC 6238 has it.
"""

import base64
import hashlib
import hmac
import json
import os
import struct
import threading
import time


def code(secret, window):
    digest = hmac.new(base64.b32decode(secret), struct.pack(">q", window), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


class Refusal(Exception):
    """The service refuses; `code` is its own."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Cognito:
    def __init__(self):
        self.lock = threading.Lock()
        self.secrets, self.used = set(), set()
        self.access, self.revoked = {}, set()

    def before(self, operation, parameters):
        """Looks at a request. Gives the answer where moto has none."""
        with self.lock:
            if parameters.get("AccessToken") in self.revoked:
                raise Refusal("NotAuthorizedException", "Access Token has been revoked")
            if operation == "VerifySoftwareToken":
                self.check(parameters["UserCode"], "EnableSoftwareTokenMFAException")
            if operation == "RespondToAuthChallenge" and parameters["ChallengeName"] == "SOFTWARE_TOKEN_MFA":
                self.check(parameters["ChallengeResponses"]["SOFTWARE_TOKEN_MFA_CODE"], "CodeMismatchException")
            if operation == "RevokeToken":
                self.revoked.update(self.access.pop(parameters["Token"], ()))
                return {}
        return None

    def after(self, operation, answer):
        """Looks at an answer of moto, and gives the one that is sent."""
        with self.lock:
            if operation == "AssociateSoftwareToken":
                secret = base64.b32encode(os.urandom(20)).decode()
                self.secrets.add(secret)
                return {**answer, "SecretCode": secret}
            result = answer.get("AuthenticationResult", {})
            if "RefreshToken" in result:
                self.access.setdefault(result["RefreshToken"], set()).add(result["AccessToken"])
        return answer

    def check(self, given, refusal):
        now = int(time.time()) // 30
        for secret in self.secrets:
            for window in (now - 1, now, now + 1):
                if code(secret, window) == given:
                    if (secret, window) in self.used:
                        raise Refusal("ExpiredCodeException", "Your software token has already been used once.")
                    self.used.add((secret, window))
                    return
        raise Refusal(refusal, "Invalid code received for user")


OPERATIONS = {
    "AssociateSoftwareToken",
    "InitiateAuth",
    "RespondToAuthChallenge",
    "RevokeToken",
    "VerifySoftwareToken",
}


def concerns(operation, parameters):
    return operation in OPERATIONS or "AccessToken" in parameters


def dumped(answer):
    return json.dumps(answer).encode()
