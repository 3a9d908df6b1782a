"""What people in Iran choose first: names, clubs, cities, banks, words of a cafe, in both scripts."""

WORDS = frozenset(
    """
0123456789 0987654321 1234512345 9876543210 aa12345678 abc1234567 abcd123456 abcdefghij admin12345
administrator ahvaz alireza amirali amirhosein amirhossein amirreza anar arash armin asdfghjkl; aseman asemoon
asheghetam atefeh azade azadeh azizam babak bahar bandarabbas barista behesht behnam behzad bushehr cafe caffe
cappuccino changeme12 chayi chetori correcthorsebatterystaple daram dariush darya daryoush delaram delbar
dooset doostetdaram dostetdaram ehsan elahe elaheh elham elnaz emamreza esfahan eshgh eshgham eshghe esteghlal
esteghlali esteqlal farzaneh fateme fatemeh fereshteh fereydoun ghahve ghahveh ghazal gholamreza ghom
ghorbanat gilan gol golabi golgoli golnaz gozarvazhe hamadan hamed hamedan hamid hamidreza hamrah hamrahaval
hanieh haniyeh hasan hoda hosein hossein iloveyouall iman iran irancell irani iranian isfahan jafar javad
jigar kafe karaj kelidvajeh kerman kermanshah keyvan khoda khodaya khoobi khorasan khorshid khuzestan kian
kiarash kimia kitchen koorosh kourosh ladan latte letmein1234 mahdi mahmood mahmoud mahnaz mahsa mahtab majid
mashhad masood masoud mazandaran mehdi mellat mersi milad mohamad mohamadreza mohammadreza mojgan mojtaba
morteza mostafa muhammad nabat nafasam narges nargess nasrin navid nazanin negar negin neymar niloofar
niloufar nima obor omid owner paeez parandeh parastoo parisa parsian parvaz pasargad passwordpassword payam
pegah persepolis perspolis perspolisi peyman pooya porteghal pouya qahve qom ramz ramze ramzeman ramzobor
rasht restaurant restoran reza saderat saeed saeid sajad sajjad sanaz sarvaan sarvan sepahan sepideh servaan
servan setare setareh shabnam shahab shahram sheida shokolat siavash sib siyavash slm somaye somayeh soroush
staff superuser tabestan tabriz taj taraktor tehran tehroon teraktor trustno1234 vahid whatever12 yaabolfazl
yaali yahosein yahossein yahussein yamahdi yaser yasin yazahra yazd zahra zaq12wsxcde3 zemestan zendegi
zendegy zxcvbnm1234 احمد استقلال اصفهان امامرضا امیرحسین امیرعلی ایران بسمالله تبریز تراکتور تهران جیگر حسن
حسین خدا خدایا دوستتدارم رستوران رضا رمز رمزعبور زهرا سارا سروان سلام سلامعلیکم سپاهان شسیبلاتنمکگ شیراز
ضشظصسطثیز ضصثقفغعهخحجچ ظطزرذدپو عاشقتم عزیزم عشقم علیرضا فاطمه قهوه مالک محمد محمدرضا مدیر مریم مشهد مهدی نرگس
نفسم پرسپولیس کارمند کافه کلمهعبور گذرواژه یاابوالفضل یاحسین یازهرا یاعلی یامهدی
""".split()  # noqa: SIM905
)
