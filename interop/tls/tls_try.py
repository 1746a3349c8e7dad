"""Tries listeners with TLS and SASL with librdkafka: run a node with tls.properties in the root of the repository, then this."""
import os, time
from confluent_kafka import Producer, Consumer
from confluent_kafka.admin import AdminClient, NewTopic, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
T=os.path.join(os.path.dirname(__file__),'../../crates/tls/src/testdata/')
base={'bootstrap.servers':'127.0.0.1:29391','security.protocol':'SSL','ssl.ca.location':T+'ca.pem'}
def trial(name, conf, ok=True):
    errs=[]
    conf=dict(conf, **{'error_cb':lambda e: errs.append(str(e)), 'socket.timeout.ms':8000,'message.timeout.ms':10000,'log_level':0})
    try:
        p=Producer(conf); got=[]
        for i in range(100): p.produce('t', b'x'*1000, on_delivery=lambda e,m: got.append(e))
        left=p.flush(15)
        good=sum(1 for e in got if e is None)
        print(name, 'delivered',good,'left',left, errs[:2], flush=True)
    except Exception as e: print(name,'EXC',e, errs[:2], flush=True)
admin=AdminClient({'bootstrap.servers':'127.0.0.1:29390'})
admin.create_topics([NewTopic('t',1,1)])
for m in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
    for f in admin.alter_user_scram_credentials([UserScramCredentialUpsertion('carol', ScramCredentialInfo(m, 4096), b'carol-secret')]).values(): f.result()
time.sleep(2)
trial('plain',{'bootstrap.servers':'127.0.0.1:29390'})
trial('tls',base)
trial('tls wrong ca',dict(base,**{'ssl.ca.location':'/etc/ssl/certs/ca-certificates.crt'}))
trial('mtls without cert',dict(base,**{'bootstrap.servers':'127.0.0.1:29395'}))
trial('mtls',dict(base,**{'bootstrap.servers':'127.0.0.1:29395','ssl.keystore.location':T+'node.p12','ssl.keystore.password':'secret-store'}))
s={'bootstrap.servers':'127.0.0.1:29392','security.protocol':'SASL_SSL','ssl.ca.location':T+'ca.pem','sasl.mechanism':'PLAIN','sasl.username':'alice','sasl.password':'alice-secret'}
trial('sasl_ssl plain',s)
trial('sasl_ssl plain wrong',dict(s,**{'sasl.password':'nope'}))
s=dict(s,**{'bootstrap.servers':'127.0.0.1:29394','security.protocol':'SASL_PLAINTEXT'})
trial('sasl_plaintext plain',s)
trial('scram unknown user',dict(s,**{'sasl.mechanism':'SCRAM-SHA-256'}))
for m in ('SCRAM-SHA-256','SCRAM-SHA-512'):
    trial(m,dict(s,**{'sasl.mechanism':m,'sasl.username':'carol','sasl.password':'carol-secret'}))
    trial(m+' over TLS',dict(s,**{'bootstrap.servers':'127.0.0.1:29392','security.protocol':'SASL_SSL','ssl.ca.location':T+'ca.pem','sasl.mechanism':m,'sasl.username':'carol','sasl.password':'carol-secret'}))
    trial(m+' wrong',dict(s,**{'sasl.mechanism':m,'sasl.username':'carol','sasl.password':'no'}))
trial('oauth',dict({k:v for k,v in s.items() if 'sasl.' not in k},**{'sasl.mechanism':'OAUTHBEARER','enable.sasl.oauthbearer.unsecure.jwt':'true','sasl.oauthbearer.config':'principal=bob'}))
c=Consumer(dict(base,**{'group.id':'g','auto.offset.reset':'earliest'})); c.subscribe(['t']); n=0; t=time.time()
while time.time()-t<15 and n<300:
    m=c.poll(1)
    if m and not m.error(): n+=1
print('consumed over tls',n); c.close()
# re-authentication: a producer over 12 s
p=Producer(dict(s,**{'log_level':0})); bad=[]
for i in range(12):
    p.produce('t',b'y',on_delivery=lambda e,m: bad.append(e) if e else None); p.flush(5); time.sleep(1)
print('reauth producer errors',bad)
