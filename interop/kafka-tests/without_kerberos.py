"""Kafka's tests that log in by Kerberos, made to log in by PLAIN: compiled classes in which some strings are others."""

import struct
import zipfile

CLASSES = ("kafka/api/SaslSslAdminIntegrationTest", "kafka/api/UserQuotaTest", "kafka/api/SaslPlaintextConsumerTest",
           "kafka/api/SaslSslConsumerTest")
# Kafka's clients log in by this class's mechanism unless they name one.
DEFAULTS = ("org/apache/kafka/common/config/SaslConfigs",)
# The mechanism, and the users that Kafka's JaasTestUtils has for either.
WORDS = {b"GSSAPI": b"PLAIN", b"client": b"plain-user", b"client2": b"plain-user2", b"kafka": b"plain-admin"}
# How long the entries of a class file's pool of constants are after their tags, without those of text.
LENGTHS = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}
TEXT, STRING = 1, 8


def write(tests, clients, into):
    """Writes the classes of two jars that are to be changed, changed, into a folder for the class path."""
    for jar, which in ((tests, CLASSES), (clients, DEFAULTS)):
        write_some(jar, which, into)


def write_some(jar, which, into):
    """Those of one jar."""
    with zipfile.ZipFile(jar) as classes:
        for name in classes.namelist():
            if name.startswith(which) and name.endswith(".class"):
                file = into / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(changed(classes.read(name)))


def changed(code):
    """A class file whose string constants are changed by WORDS. Names of methods and fields stay."""
    count = struct.unpack_from(">H", code, 8)[0]
    at, number = 10, 1
    texts, strings = {}, []
    while number < count:
        tag = code[at]
        if tag == TEXT:
            length = struct.unpack_from(">H", code, at + 1)[0]
            texts[number] = code[at + 3:at + 3 + length]
            at += 3 + length
        else:
            if tag == STRING:
                strings.append(at + 1)
            at += 1 + LENGTHS[tag]
        # Numbers of eight bytes take two places.
        number += 2 if tag in (5, 6) else 1
    pool, more = bytearray(code[:at]), b""
    for place in strings:
        word = WORDS.get(texts[struct.unpack_from(">H", code, place)[0]])
        if word is not None:
            struct.pack_into(">H", pool, place, count)
            more += struct.pack(">BH", TEXT, len(word)) + word
            count += 1
    struct.pack_into(">H", pool, 8, count)
    return bytes(pool) + more + code[at:]
